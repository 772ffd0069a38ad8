"""Measurements, each against the way that a pipeline is usually built. `make bench` runs them all."""
