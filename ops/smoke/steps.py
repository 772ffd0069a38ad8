"""The steps of a smoke test, in order.

A step returns what it found. It raises `StepFailed`, `Skipped` or `Blocked`.
"""

from __future__ import annotations

from collections.abc import Callable

from ops.smoke import changes, gateway, reading, service, uploads
from ops.smoke.journey import Journey

Step = Callable[[Journey], str]

STEPS: tuple[tuple[str, Step], ...] = (
    ("health and limits", service.health),
    ("401 without a key", service.unauthorized),
    ("statistics before", changes.statistics_before),
    ("POST an image", uploads.post),
    ("presigned PUT", uploads.presigned_put),
    ("drop a file into the bucket", uploads.drop),
    ("processing and captions", uploads.processing),
    ("thumbnails, byte for byte", reading.thumbnails),
    ("original, byte for byte", reading.original),
    ("list with a cursor", reading.listing),
    ("statistics count the images", changes.statistics_count_them),
    ("PATCH with If-Match", changes.patch),
    ("search", changes.search),
    ("reprocess", changes.reprocess),
    ("HEAD", gateway.head_responses),
    ("CORS", service.cross_origin),
    ("error responses", gateway.error_responses),
    ("deletion through the API", changes.delete_by_api),
    ("deletion in the bucket", changes.delete_in_bucket),
    ("webhooks", service.webhooks),
    ("statistics are back", changes.statistics_after_deletion),
)
LAST_STEP: tuple[str, Step] = ("nothing is left behind", changes.check_cleanup)
