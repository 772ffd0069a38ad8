"""HTTP behavior that all routes share."""
