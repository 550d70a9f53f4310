"""Side-by-side benchmarks: this project and its rivals on the same work in one run; `python -m benchmarks.run --help`."""
