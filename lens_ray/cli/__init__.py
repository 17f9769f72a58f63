"""The command line: one file a verb, a thin skin over the library.

`lens_ray.cli.main` is the entry; `lens_ray.cli.options` holds what several verbs take and
`lens_ray.cli.output` how they print. A verb imports what it needs when it is called, so that
``--help`` does not wait for torch and Ray.
"""
