"""The smoke test: tests a running stack from upload to deletion, and writes a report."""
