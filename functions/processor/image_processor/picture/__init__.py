"""From the bytes of an image file to its pixels, thumbnails and metadata."""
