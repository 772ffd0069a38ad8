"""The commands; a group of them a file."""
