"""Tools that an engineer runs against a stack, with AWS credentials: `python -m ops --help`."""
