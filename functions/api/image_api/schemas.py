"""What the API answers, as the OpenAPI schema shows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

ShownStatus = Literal["pending", "processing", "success", "failed"]
Stage = Literal["pending", "done", "failed"]


class ErrorBody(BaseModel):
    """What went wrong: `code` is stable, `message` is for people."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["There is no such image."])


class ErrorAnswer(BaseModel):
    """The envelope of a call that failed."""

    status: Literal["error"] = "error"
    data: None = None
    error: ErrorBody


class Metadata(BaseModel, extra="allow"):
    """What the picture is. Width and height are those of the upright picture, in pixels.

    Where the model had nothing to say, `caption` is null and `caption_reason` says why.
    """

    width: int
    height: int
    format: str = Field(examples=["jpeg"])
    size_bytes: int
    sha256: str
    exif: dict[str, Any]
    caption: str | None = None
    caption_model: str | None = Field(
        None, examples=["Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b"]
    )


class ThumbnailUrls(BaseModel):
    """Where the thumbnails are."""

    small: str
    medium: str


class Stages(BaseModel):
    """How far the pipeline has come."""

    metadata: Stage
    thumbnails: Stage
    caption: Stage


class ImageData(BaseModel):
    """One image. What is not known yet is null."""

    image_id: str = Field(examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
    original_name: str = Field(examples=["photo.jpg"])
    content_type: str | None = Field(examples=["image/jpeg"])
    source: str = Field(examples=["api", "bucket"])
    created_at: str = Field(examples=["2026-11-20T10:00:00Z"])
    processed_at: str | None
    processing_time_seconds: float | None
    metadata: Metadata | None
    thumbnails: ThumbnailUrls | None
    stages: Stages


class ImageAnswer(BaseModel):
    """One image: `status` is the image's."""

    status: ShownStatus
    data: ImageData
    error: ErrorBody | None = None


class OriginalLocation(BaseModel):
    """Where the original file is. The URL is signed and good for a few minutes."""

    url: str


class OriginalAnswer(BaseModel):
    """The address of an original file."""

    status: ShownStatus
    data: OriginalLocation
    error: None = None


class AcceptedAnswer(BaseModel):
    """An image that was taken and will be processed: `ImageAnswer` with the id at hand."""

    image_id: str
    status: ShownStatus
    data: ImageData
    error: None = None


class ListAnswer(BaseModel):
    """A page of images, newest first. `next_cursor` asks for the next page; null on the last."""

    status: Literal["success"] = "success"
    data: list[ImageAnswer]
    next_cursor: str | None
    error: None = None


class UploadRequest(BaseModel):
    """An upload that is to go straight to the bucket."""

    filename: str = Field(max_length=1024, examples=["photo.jpg"])
    content_type: str = Field(examples=["image/jpeg"])
    size: int = Field(ge=0, description="Bytes.")


class PresignedUpload(BaseModel):
    """The request to send: exactly these headers, the file as its body."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]


class UploadAnswer(BaseModel):
    """A reservation: nothing is listed until the file arrives."""

    image_id: str
    upload: PresignedUpload
    expires_at: str


class ProcessingTimes(BaseModel):
    """Percentiles in seconds, within 5%; null while nothing has been processed."""

    p50: float | None
    p95: float | None
    p99: float | None


class StatsAnswer(BaseModel):
    """Counts of images; rates are over the finished ones, times over the successful ones."""

    total: int
    in_progress: int
    success: int
    failed: int
    success_rate: str = Field(examples=["66.67%"])
    failure_rate: str = Field(examples=["33.33%"])
    average_processing_time_seconds: float | None
    processing_time_seconds: ProcessingTimes


class HealthAnswer(BaseModel):
    """The service answers. `caption_model` is the one that a processor last loaded; null before the first."""

    status: Literal["ok"] = "ok"
    caption_model: str | None


class IndexAnswer(BaseModel):
    """What there is."""

    name: str
    documentation: str
    endpoints: dict[str, str]
