"""Lambda's entry point. Importing it is Lambda's INIT phase: the clients are built, and the caption model begins to
load in a thread, so that it is there, or nearly so, when the first picture has been fetched and decoded.
"""

from image_core.services import services
from image_processor.handler import handler, processor, warm_up

__all__ = ["handler", "warm_up"]

processor()
services().prepare("dynamodb", "s3", "sqs")
