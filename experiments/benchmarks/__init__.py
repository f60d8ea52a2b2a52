"""Benchmarks: each prints a table and writes experiments/results/benchmark_NAME.json."""
