"""The errors of the pipeline. They know nothing about HTTP: `image_api.http.errors` maps them to a status.

A `PipelineError` is public: its code and message go into records and responses. A message is for people and never
contains a stack trace, an ARN or a bucket name. The other errors stay inside the pipeline and control what it does
next.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of the errors whose `code` (stable) and `message` (for people) are shown to users."""

    code: ClassVar[str] = "error"
    default_message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.default_message
        super().__init__(self.message)


class ImageError(PipelineError):
    """A permanent error of one image: retrying the same bytes would fail in the same way."""


class UnsupportedFormat(ImageError):
    code = "unsupported_format"
    default_message = "The file is not an image of a supported format."


class CorruptImage(ImageError):
    code = "corrupt_image"
    default_message = "The image is damaged or incomplete."


class ImageTooLarge(ImageError):
    code = "image_too_large"
    default_message = "The file is larger than the limit. Reduce its size and upload it again."


class TooManyPixels(ImageError):
    code = "too_many_pixels"
    default_message = "The image has more pixels than the limit. Scale it down and upload it again."


class UploadIncomplete(ImageError):
    code = "upload_incomplete"
    default_message = "The upload was announced, but the file never arrived. Upload it again."


class UploadMismatch(ImageError):
    code = "upload_mismatch"
    default_message = "The uploaded file is not the one that was announced."


class UnreadableObject(ImageError):
    code = "unreadable_object"
    default_message = (
        "The file is encrypted with a key that this service cannot use. Upload it again without that key,"
        " with the encryption of the bucket."
    )


class ObjectArchived(ImageError):
    code = "object_archived"
    default_message = "The file is in an archive storage class. Restore it in S3, then reprocess the image."


class CaptionFailed(ImageError):
    code = "caption_failed"
    default_message = "The image could not be captioned."


class RetriesExhausted(ImageError):
    code = "retries_exhausted"
    default_message = "Processing failed too many times. Reprocess the image to try again."


class InternalFailure(ImageError):
    """A bug in the pipeline stopped the processing: every retry would fail in the same way."""

    code = "internal_error"
    default_message = "An internal error stopped the processing of this image. Reprocess it after an update."


IMAGE_ERRORS: dict[str, type[ImageError]] = {error.code: error for error in ImageError.__subclasses__()}
"""The errors that a `failed` record can have, by code."""


class BadCursor(PipelineError):
    """The cursor is damaged or belongs to another list."""

    code = "bad_cursor"
    default_message = "The cursor is invalid for this list. Start again without a cursor."


class BadQuery(PipelineError):
    """The search query cannot be understood, or not combined with other parameters. The message says why."""

    code = "bad_query"
    default_message = "The query cannot be understood."


class Unavailable(PipelineError):
    """A store failed after all its retries. A later request may succeed."""

    code = "unavailable"
    default_message = "The service is busy. Try again in a few seconds."


class Superseded(Exception):
    """The write's condition failed: the record has changed since it was read."""


class Replaced(Superseded):
    """The object has been overwritten or removed since it was read."""


class RetryLater(Exception):
    """The image cannot be handled now. Handle it again in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Busy(RetryLater):
    """Another worker holds the image."""


class Interrupted(RetryLater):
    """The attempt ended without an outcome because of a transient error. Its lease was released."""


class ModelError(Exception):
    """The caption model cannot be loaded as configured; the message names the folder or setting."""
