"""Train, export and check caption models. Only for development, never deployed."""
