"""Hostile files go through the whole picture stage in a monitored process: mutated pictures, and known attacks.

`test_fuzz.py` runs a fixed number of seeded cases; `python -m tests.fuzz` (`make fuzz`) runs for any length of
time.
"""
