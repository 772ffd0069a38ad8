"""Every error of the pipeline, as one tree.

    PipelineError                code and message are public: they go into records and answers
    ├── ImageError               a permanent fault of one image; it ends as `failed`, never retried
    │   ├── UnsupportedFormat    unsupported_format
    │   ├── CorruptImage         corrupt_image
    │   ├── ImageTooLarge        image_too_large (bytes)
    │   ├── TooManyPixels        too_many_pixels
    │   ├── UploadIncomplete     upload_incomplete
    │   ├── UploadMismatch       upload_mismatch
    │   ├── CaptionFailed        caption_failed
    │   ├── RetriesExhausted     retries_exhausted
    │   └── InternalFailure      internal_error
    ├── RequestError             a call that cannot be answered; `http_status` says how
    │   ├── InvalidRequest       422 invalid_request
    │   ├── EmptyFile            400 empty_file
    │   ├── UnsupportedUpload    400 unsupported_format
    │   ├── BadCursor            400 bad_cursor
    │   ├── Unauthorized         401 unauthorized
    │   ├── NotFound             404 not_found
    │   ├── MethodNotAllowed     405 method_not_allowed
    │   ├── NotReady             409 not_ready
    │   ├── ProcessingFailed     409 processing_failed
    │   ├── KeyReused            409 idempotency_key_reused
    │   ├── ImageDeleted         409 image_deleted
    │   ├── PreconditionFailed   412 precondition_failed
    │   ├── TooLarge             413 too_large
    │   ├── WrongMediaType       415 unsupported_media_type
    │   ├── InternalError        500 internal_error
    │   └── Unavailable          503 unavailable
    Superseded                   the record has moved on: somebody else's turn, stop quietly
    └── Replaced                 the object that was seen is not there any more: look at its key anew
    RetryLater                   the image must be handled again after `retry_after_seconds`
    ├── Busy                     another worker holds the image
    └── Interrupted              a transient error ended the attempt; the next one can begin
    ModelError                   the caption model's folder cannot be used; an operator must act

Messages are for people and never hold a stack, an ARN or a bucket name.
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
    """A permanent fault of one image: retrying the same bytes would end the same way."""


class UnsupportedFormat(ImageError):
    code = "unsupported_format"
    default_message = "The file is not an image of a supported format."


class CorruptImage(ImageError):
    code = "corrupt_image"
    default_message = "The image is damaged or cut short."


class ImageTooLarge(ImageError):
    code = "image_too_large"
    default_message = "The file has more bytes than are accepted."


class TooManyPixels(ImageError):
    code = "too_many_pixels"
    default_message = "The image has more pixels than are accepted."


class UploadIncomplete(ImageError):
    code = "upload_incomplete"
    default_message = "The upload was announced but the file never arrived."


class UploadMismatch(ImageError):
    code = "upload_mismatch"
    default_message = "The file that arrived is not the one that was announced."


class CaptionFailed(ImageError):
    code = "caption_failed"
    default_message = "The image could not be captioned."


class RetriesExhausted(ImageError):
    code = "retries_exhausted"
    default_message = "Processing failed repeatedly and was given up. Reprocess the image to try again."


class InternalFailure(ImageError):
    """A bug of ours stopped the processing: every retry would end the same way."""

    code = "internal_error"
    default_message = "An internal error stopped the processing of this image. Reprocess it after an update."


class RequestError(PipelineError):
    """A call that is answered with `http_status` and this error in the envelope."""

    http_status: ClassVar[int] = 400

    def __init__(self, message: str | None = None, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(RequestError):
    code = "invalid_request"
    http_status = 422
    default_message = "The request is not valid."


class KeyReused(RequestError):
    code = "idempotency_key_reused"
    http_status = 409
    default_message = "This Idempotency-Key came with another request before. Send a new key with a new request."


class EmptyFile(RequestError):
    code = "empty_file"
    default_message = "The file is empty."


class UnsupportedUpload(RequestError):
    code = "unsupported_format"
    default_message = UnsupportedFormat.default_message


class BadCursor(RequestError):
    code = "bad_cursor"
    default_message = "The cursor is not one that this list gave out."


class Unauthorized(RequestError):
    code = "unauthorized"
    http_status = 401
    default_message = "This call needs a valid key in the header X-Api-Key."


class NotFound(RequestError):
    code = "not_found"
    http_status = 404
    default_message = "There is no such image."


class NotReady(RequestError):
    code = "not_ready"
    http_status = 409
    default_message = "The image is still being processed."


class ProcessingFailed(RequestError):
    code = "processing_failed"
    http_status = 409
    default_message = "Processing this image failed, so there is no thumbnail."


class ImageDeleted(RequestError):
    code = "image_deleted"
    http_status = 409
    default_message = "The image of this Idempotency-Key was deleted. Send a new key to upload it once more."


class MethodNotAllowed(RequestError):
    code = "method_not_allowed"
    http_status = 405
    default_message = "This address does not take that method."


class PreconditionFailed(RequestError):
    code = "precondition_failed"
    http_status = 412
    default_message = "The image has changed since you read it (`If-Match`). Read it again and decide anew."


class WrongMediaType(RequestError):
    code = "unsupported_media_type"
    http_status = 415
    default_message = "This call does not take a body of that content type."


class TooLarge(RequestError):
    code = "too_large"
    http_status = 413
    default_message = "The file is too large."


class InternalError(RequestError):
    code = "internal_error"
    http_status = 500
    default_message = "Something went wrong on our side."


class Unavailable(RequestError):
    code = "unavailable"
    http_status = 503
    default_message = "The service could not do this now. Please try again."


class Superseded(Exception):
    """The write's condition failed: the record is no longer in the state that was read."""


class Replaced(Superseded):
    """The object that was seen has been overwritten or removed since."""


class RetryLater(Exception):
    """Nothing more can be done about this image now; handle it again in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Busy(RetryLater):
    """Another worker has the image."""


class Interrupted(RetryLater):
    """The attempt ended without an outcome because of a transient error; its lease was given back."""


class ModelError(Exception):
    """The caption model cannot be loaded as configured; the message names the folder or setting."""


IMAGE_ERRORS: dict[str, type[ImageError]] = {
    error.code: error
    for error in (
        UnsupportedFormat,
        CorruptImage,
        ImageTooLarge,
        TooManyPixels,
        UploadIncomplete,
        UploadMismatch,
        CaptionFailed,
        RetriesExhausted,
        InternalFailure,
    )
}
"""The codes that a `failed` record can carry."""
