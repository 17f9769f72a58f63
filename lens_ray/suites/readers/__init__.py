"""Data sets as they lie about, read row by row: untrusted files in, plain values out.

``table`` says what a data set is to a build; ``columnar`` reads Parquet and Arrow files, ``tsv``
VLMEvalKit's tables, ``delimited`` CSV and JSON lines; ``folder`` finds the files of a data set in a
folder and ``hub`` brings them there; ``pictures`` checks images, ``shelves`` finds those that lie
beside a table, in a folder or an archive.
"""
