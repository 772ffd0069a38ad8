"""Hostile files: drawn pictures mutated, and known nasties, through the whole picture stage in a watched process.

`test_fuzz.py` runs a fixed number of seeded cases; `python -m tests.fuzz` (`make fuzz`) runs for as long as wanted.
"""
