"""The public benchmarks that suites are built from, one file each."""
