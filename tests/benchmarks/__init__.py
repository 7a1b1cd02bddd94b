"""How fast it is, in ratios: `python -m tests.benchmarks` (docs/reference/benchmarks.md)."""
