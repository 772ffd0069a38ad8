"""Benchmarks, each compared with the usual implementation. `make bench` runs them all."""
