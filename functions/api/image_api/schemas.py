"""What the API answers, as the OpenAPI schema shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MAX_NAME_CHARACTERS = 1024
"""Of a file's name: no less than any key of S3's can hold."""

ShownStatus = Literal["pending", "processing", "success", "failed"]
Stage = Literal["pending", "done", "failed"]


class _Answer(BaseModel):
    """An answer, built when it is first used: no request needs them all, and a cold start would wait for each."""

    model_config = ConfigDict(defer_build=True)


def build() -> None:
    """Builds them all: a server's first act, for pydantic can fail where two threads build one at once."""
    for model in _Answer.__subclasses__():
        model.model_rebuild()


class ErrorBody(_Answer):
    """What went wrong: `code` is stable, `message` is for people."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["There is no such image."])


class ErrorAnswer(_Answer):
    """The envelope of a call that failed."""

    status: Literal["error"] = "error"
    data: None = None
    error: ErrorBody


class Metadata(_Answer, extra="allow"):
    """What the picture is; docs/metadata.md says more. Width and height are the upright picture's, in pixels.

    Where the model had nothing to say, `caption` is null and `caption_reason` says why. `gps` is there only if the
    service shows where pictures were taken.
    """

    width: int
    height: int
    format: str = Field(examples=["jpeg"])
    size_bytes: int
    sha256: str
    color_mode: str | None = Field(
        None,
        examples=["rgb"],
        description="bilevel, grayscale, palette, rgb, cmyk, lab, ycbcr or hsv: in the file.",
    )
    bit_depth: int | None = Field(None, examples=[8], description="Bits in a sample of the file, or in an index.")
    has_alpha: bool | None = Field(None, description="Whether the file can say what is transparent.")
    frames: int | None = Field(None, examples=[1], description="Pictures in the file; the first is the one shown.")
    icc_profile: str | None = Field(None, examples=["Display P3"], description="The colour profile's own name.")
    dpi: list[float] | None = Field(None, examples=[[300, 300]], description="Pixels per inch, across and down.")
    exif: dict[str, Any] = Field(
        description="EXIF by the names of the standard; `_truncated` where not all of it had room.",
        examples=[{"Make": "Acme", "DateTimeOriginal": "2026-07-01T10:20:30+02:00", "Orientation": 6}],
    )
    caption: str | None = None
    caption_model: str | None = Field(
        None, examples=["Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b"]
    )


class ThumbnailUrls(_Answer):
    """Where the thumbnails are."""

    small: str
    medium: str


class Stages(_Answer):
    """How far the pipeline has come."""

    metadata: Stage
    thumbnails: Stage
    caption: Stage


class ImageData(_Answer):
    """One image. What is not known yet is null."""

    image_id: str = Field(examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
    original_name: str = Field(examples=["photo.jpg"])
    title: str | None = Field(None, description="The user's own; see PATCH.", examples=["Lake at dawn"])
    alt_text: str | None = Field(
        None, description="The user's own; see PATCH.", examples=["A lake between mountains"]
    )
    tags: list[str] = Field([], description="The user's own; see PATCH.", examples=[["lake", "dawn"]])
    content_type: str | None = Field(examples=["image/jpeg"])
    source: str = Field(examples=["api", "bucket"])
    created_at: str = Field(examples=["2026-11-20T10:00:00Z"])
    processed_at: str | None
    processing_time_seconds: float | None
    metadata: Metadata | None
    thumbnails: ThumbnailUrls | None
    stages: Stages


class ImageAnswer(_Answer):
    """One image: `status` is the image's."""

    status: ShownStatus
    data: ImageData
    error: ErrorBody | None = None


class OriginalLocation(_Answer):
    """Where the original file is. The URL is signed and good for a few minutes."""

    url: str


class OriginalAnswer(_Answer):
    """The address of an original file."""

    status: ShownStatus
    data: OriginalLocation
    error: None = None


class AcceptedAnswer(_Answer):
    """An image that was taken and will be processed: `ImageAnswer` with the id at hand."""

    image_id: str
    status: ShownStatus
    data: ImageData
    error: ErrorBody | None = None


class ImagePatch(BaseModel, extra="forbid"):
    """What to change, as a JSON merge patch (RFC 7396): a member that is left out stays, null clears."""

    title: str | None = Field(None, min_length=1, max_length=200, examples=["Lake at dawn"])
    alt_text: str | None = Field(
        None,
        max_length=2000,
        description="What the picture shows, for those who cannot see it. Empty for a mere decoration.",
        examples=["A lake between mountains"],
    )
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] | None = Field(
        None,
        max_length=50,
        description="The whole set; replaces the one before. Kept in this order, each once.",
        examples=[["lake", "dawn"]],
    )


class ListAnswer(_Answer):
    """A page of images, newest first. `next_cursor` asks for the next page; null on the last."""

    status: Literal["success"] = "success"
    data: list[ImageAnswer]
    next_cursor: str | None
    error: None = None


def _whole(number: object) -> object:
    """In JSON 5.0 is a whole number too."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class UploadRequest(BaseModel, extra="forbid"):
    """An upload that is to go straight to the bucket. What is announced here is signed, and compared on arrival."""

    filename: str = Field(max_length=MAX_NAME_CHARACTERS, examples=["photo.jpg"])
    content_type: str = Field(examples=["image/jpeg"])
    size: Annotated[int, BeforeValidator(_whole)] = Field(
        ge=0, strict=True, description="Bytes.", examples=[45_000_000]
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-fA-F]{64}$",
        description="SHA-256 of the file in hexadecimal digits: S3 refuses a file that has another.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class PresignedUpload(_Answer):
    """The request to send: exactly these headers, the file as its body."""

    method: Literal["PUT"] = "PUT"
    url: str = Field(examples=["https://….s3.eu-west-1.amazonaws.com/uploads/img_…/photo.jpg?X-Amz-Algorithm=…"])
    headers: dict[str, str] = Field(
        examples=[{"Content-Type": "image/jpeg", "Content-Length": "45000000", "If-None-Match": "*"}]
    )


class UploadAnswer(_Answer):
    """A reservation: nothing is listed until the file arrives."""

    image_id: str = Field(examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
    upload: PresignedUpload
    expires_at: str = Field(examples=["2026-11-20T10:15:00Z"])


class ProcessingTimes(_Answer):
    """Percentiles in seconds, within 5%; null while nothing has been processed."""

    p50: float | None
    p95: float | None
    p99: float | None


class StatsAnswer(_Answer):
    """Counts of images; rates are over the finished ones, times over the successful ones."""

    total: int
    in_progress: int
    success: int
    failed: int
    success_rate: str = Field(examples=["66.67%"])
    failure_rate: str = Field(examples=["33.33%"])
    average_processing_time_seconds: float | None
    processing_time_seconds: ProcessingTimes


class HealthAnswer(_Answer):
    """The service answers. `caption_model` is the one that a processor last loaded; null before the first."""

    status: Literal["ok"] = "ok"
    caption_model: str | None


class Limits(_Answer):
    """The largest files that are taken, in bytes: in a POST, and by `POST /api/uploads`."""

    max_post_bytes: int = Field(examples=[4_000_000])
    max_image_bytes: int = Field(examples=[50_000_000])


class IndexAnswer(_Answer):
    """What there is."""

    name: str
    documentation: str
    endpoints: dict[str, str]
    limits: Limits
