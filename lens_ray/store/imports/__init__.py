"""Other tools' results, read: untrusted files in, `Answer` objects out. Nothing is marked here.

* `lens_ray.store.imports.answers`     what a file says: `Answer`, `Evidence`, failure markers
* `lens_ray.store.imports.tables`      CSV, TSV, JSON, JSON lines, Parquet as rows; `xlsx` too
* `lens_ray.store.imports.lmms_eval`   ``--log_samples`` files, of this and of older versions
* `lens_ray.store.imports.vlmevalkit`  prediction tables
* `lens_ray.store.imports.plain_table` any table of sample id and answer
* `lens_ray.store.imports.inspect_log` Inspect's ``.eval`` logs
* `lens_ray.store.imports.match`       which sample of a suite an answer is to: `Matcher`

`lens_ray.imports` marks the answers and stores them as a run. No file is ever unpickled.
"""
