"""The gallery in a real browser. This is a package so that pytest ends its package-scoped fixtures with it."""
