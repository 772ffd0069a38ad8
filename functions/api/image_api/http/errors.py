"""The errors of a call, and `HTTP_STATUS`, which maps every error to its HTTP status."""

from __future__ import annotations

from image_core.errors import BadCursor, BadQuery, InternalFailure, PipelineError, Unavailable, UnsupportedFormat


class RequestError(PipelineError):
    """The call is rejected. `retry_after_seconds` says when a retry makes sense."""

    def __init__(self, message: str | None = None, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(RequestError):
    code = "invalid_request"
    default_message = "The request is not valid."


class InvalidHost(InvalidRequest):
    default_message = "The header Host is not a valid host name. Send the host of the URL that you call."


class EmptyFile(RequestError):
    code = "empty_file"
    default_message = "The file is empty."


class UnsupportedUpload(RequestError):
    code = UnsupportedFormat.code
    default_message = UnsupportedFormat.default_message


class Unauthorized(RequestError):
    code = "unauthorized"
    default_message = "An API key is required. Send a valid key in the header X-Api-Key."


class NotFound(RequestError):
    code = "not_found"
    default_message = "There is no such image."


class MethodNotAllowed(RequestError):
    code = "method_not_allowed"
    default_message = "Method not allowed. The header Allow lists the methods of this URL."


class NotReady(RequestError):
    code = "not_ready"
    default_message = "The image is still being processed. Try again in a few seconds."


class SizeMissing(NotReady):
    """Waiting does not help, unlike with other `NotReady` errors, so this has a different status."""

    default_message = "This image has no thumbnail of that size. Reprocess it to create all current sizes."


class ProcessingFailed(RequestError):
    code = "processing_failed"
    default_message = "Processing failed, so this image has no thumbnails."


class KeyReused(RequestError):
    code = "idempotency_key_reused"
    default_message = "This Idempotency-Key was used for a different request. Use a new key for a new request."


class ImageDeleted(RequestError):
    code = "image_deleted"
    default_message = "The image of this Idempotency-Key was deleted. Use a new key to upload it again."


class PreconditionFailed(RequestError):
    code = "precondition_failed"
    default_message = "The image has changed since you read it (`If-Match`). Read it again and use its new ETag."


class TooLarge(RequestError):
    code = "too_large"
    default_message = "The file is too large."


class WrongMediaType(RequestError):
    code = "unsupported_media_type"
    default_message = "The Content-Type of the body is not supported here."


class NoCaption(RequestError):
    """The caption is to become the alt text, but the image has none."""

    code = "no_caption"
    default_message = "The image has no caption (yet), so it cannot become the alt text."


class SeveralFiles(RequestError):
    """The form has more than one file. Nothing was stored."""

    code = "several_files"
    default_message = "Send each file in a request of its own."


class InternalError(RequestError):
    code = InternalFailure.code
    default_message = "Something went wrong on our side. Report the X-Request-Id of this response."


HTTP_STATUS: dict[type[PipelineError], int] = {
    BadCursor: 400,
    BadQuery: 400,
    InvalidHost: 400,
    SeveralFiles: 400,
    NoCaption: 409,
    EmptyFile: 400,
    UnsupportedUpload: 400,
    Unauthorized: 401,
    NotFound: 404,
    SizeMissing: 404,
    MethodNotAllowed: 405,
    NotReady: 409,
    ProcessingFailed: 409,
    KeyReused: 409,
    ImageDeleted: 409,
    PreconditionFailed: 412,
    TooLarge: 413,
    WrongMediaType: 415,
    InvalidRequest: 422,
    InternalError: 500,
    Unavailable: 503,
}
