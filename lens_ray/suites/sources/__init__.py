"""The public benchmarks that suites are built from, one file each.

``base`` says what a source is, ``options`` holds the open switches, ``registry`` the sources by
name; ``cells`` reads a row, ``inline`` takes options out of a question, ``settle`` sees all rows
together, ``wording`` has what the prompts share.
"""
