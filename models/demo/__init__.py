"""The demo model: a small BLIP checkpoint, trained from scratch on pictures that it draws itself."""
