"""Experiments and benchmarks: the paper's results reproduced, and measurements of the library."""
