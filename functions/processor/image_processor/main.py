"""Lambda's entry point. Lambda imports it in its INIT phase: the clients are built, and the caption model starts to
load in a thread, so that it is almost ready when the first picture has been downloaded and decoded.
"""

from image_core.services import services
from image_processor.handler import handler, processor, warm_up

__all__ = ["handler", "warm_up"]

processor()
services().prepare("dynamodb", "s3", "sqs")
