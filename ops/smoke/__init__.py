"""The smoke test: the whole job against a running stack, and a report about it."""
