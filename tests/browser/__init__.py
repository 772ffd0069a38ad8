"""The gallery in a real browser. A package, for pytest: its fixtures of that scope end with it."""
