"""The families of `lens_ray.testing.tiny_checkpoint`, each as its maker publishes it, but tiny.

Nothing is imported here: take what is needed from its module.
"""
