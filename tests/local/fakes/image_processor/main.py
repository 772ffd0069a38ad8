"""The entry point that template.yaml names."""

from image_processor.handler import handler, warm_up

__all__ = ["handler", "warm_up"]
