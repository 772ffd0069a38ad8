"""Search: which words an image is found by, and which images match a query. Pure functions, no I/O."""
