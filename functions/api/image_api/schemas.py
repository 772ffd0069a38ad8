"""Request and response bodies, as documented in the OpenAPI schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from image_api.limits import MAX_NAME_CHARACTERS
from image_api.texts import cleaned

PublicStatus = Literal["pending", "processing", "success", "failed"]
StageState = Literal["pending", "done", "failed"]


class _Response(BaseModel):
    """A response body. pydantic builds it at first use: building all of them would slow down a cold start."""

    model_config = ConfigDict(defer_build=True)


def build() -> None:
    """Build all of them. A server calls this first: pydantic can fail if two threads build the same one at once."""
    for model in _Response.__subclasses__():
        model.model_rebuild()


class ErrorBody(_Response):
    """Why the call or the image failed: `code` is stable, `message` is for people."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["There is no such image."])


class ErrorResponse(_Response):
    """The envelope of a call that failed."""

    status: Literal["error"] = "error"
    data: None = None
    error: ErrorBody


class Metadata(_Response, extra="allow"):
    """Facts about the picture; see docs/metadata.md. Width and height are those of the upright picture, in pixels.

    If the model generated no text, `caption` is null and `caption_reason` says why. `gps` is present only if the
    service is configured to show where pictures were taken. `duplicate_of` is the id of the oldest image with the
    same bytes; it is absent from that image and from lists.
    """

    width: int
    height: int
    format: str = Field(examples=["jpeg"])
    size_bytes: int
    sha256: str
    color_mode: str | None = Field(
        None,
        examples=["rgb"],
        description="Color mode of the file: bilevel, grayscale, palette, rgb, cmyk, lab, ycbcr or hsv.",
    )
    bit_depth: int | None = Field(None, examples=[8], description="Bits per sample, or per palette index.")
    has_alpha: bool | None = Field(None, description="Whether the file has transparency.")
    frames: int | None = Field(None, examples=[1], description="Pictures in the file. Only the first is processed.")
    icc_profile: str | None = Field(None, examples=["Display P3"], description="Name of the color profile.")
    dpi: list[float] | None = Field(None, examples=[[300, 300]], description="Pixels per inch, across and down.")
    placeholder: Placeholder | None = Field(None, description="Absent from images that have no thumbnails yet.")
    exif: dict[str, Any] = Field(
        description="EXIF tags by their standard names; `_truncated` is present if some were left out.",
        examples=[{"Make": "Acme", "DateTimeOriginal": "2026-07-01T10:20:30+02:00", "Orientation": 6}],
    )
    warnings: list[str] = Field(
        [],
        examples=[["missing_end"]],
        description="Flaws of the file that did not prevent processing: missing_end, bad_checksum, hdr.",
    )
    caption: str | None = None
    caption_model: str | None = Field(
        None, examples=["Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b"]
    )
    caption_confidence: float | None = Field(
        None,
        examples=[0.4271],
        description="The geometric mean of the probabilities of the caption's tokens, from 0 to 1. Null for "
        "captions of earlier versions. It is not the probability that the caption is true.",
    )
    caption_flags: list[str] | None = Field(
        None,
        examples=[["low_confidence"]],
        description="Reasons to check the caption: low_confidence, repetitive, too_short. Null for captions of "
        "earlier versions.",
    )
    caption_language: str | None = Field(None, examples=["en"], description="Language of the caption (BCP 47).")


class Rendition(_Response):
    """A picture made from the original: upright, in sRGB, without metadata. Width and height are in pixels."""

    name: str = Field(examples=["large"])
    url: str = Field(description="Changes when the bytes change, so caches may keep the response forever.")
    width: int
    height: int
    bytes: int
    format: str = Field(description="jpeg, png, webp or avif", examples=["webp"])


class Placeholder(_Response):
    """What a page can show until a picture is loaded."""

    thumbhash: str = Field(
        description="A blurred picture of about 25 bytes, in base64: see https://evanw.github.io/thumbhash/",
        examples=["HggCBYJCQRAjIhFVVpZVVwYw4i9z"],
    )
    color: str = Field(description="The average color.", examples=["#7d7777"])


class Stages(_Response):
    """Progress of each pipeline stage."""

    metadata: StageState
    thumbnails: StageState
    caption: StageState


class ImageData(_Response):
    """One image. Fields that are not known yet are null."""

    image_id: str = Field(examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
    original_name: str = Field(examples=["photo.jpg"])
    title: str | None = Field(None, description="Set by PATCH.", examples=["Lake at dawn"])
    alt_text: str | None = Field(None, description="Set by PATCH.", examples=["A lake between mountains"])
    alt_text_source: Literal["person", "caption"] | None = Field(
        None, description="Who wrote the alt text: a person, or a caption that a person accepted."
    )
    tags: list[str] = Field([], description="Set by PATCH.", examples=[["lake", "dawn"]])
    text_etag: str = Field(
        description="Changes with `title`, `alt_text` and `tags` only. Send it as `If-Match` when you change them.",
        examples=['"6ae6ed7b5d04d9a5f2ac0f2a9b5f4a8c"'],
    )
    content_type: str | None = Field(examples=["image/jpeg"])
    source: str = Field(examples=["api", "bucket"])
    created_at: str = Field(examples=["2026-11-20T10:00:00Z"])
    processed_at: str | None
    generation: int = Field(description="Starts at 1; each reprocess adds 1.", examples=[1])
    processing_time_seconds: float | None
    metadata: Metadata | None
    thumbnails: dict[str, str] | None = Field(
        description="URLs by size. An image has the sizes that were configured when it was processed."
    )
    renditions: list[Rendition] | None = Field(description="The same pictures, with their sizes and formats.")
    stages: Stages


class ImageResponse(_Response):
    """One image; `status` is the status of the image."""

    status: PublicStatus
    data: ImageData
    error: ErrorBody | None = None


class OriginalLocation(_Response):
    """A presigned URL of the original file, valid for a few minutes."""

    url: str


class OriginalResponse(_Response):
    """The URL of an original file."""

    status: PublicStatus
    data: OriginalLocation
    error: None = None


class AcceptedResponse(_Response):
    """An accepted image: an `ImageResponse` with its id."""

    image_id: str
    status: PublicStatus
    data: ImageData
    error: ErrorBody | None = None


def _clean(text: str) -> str | None:
    """Return None for a text of blanks only, which says nothing; an empty one is kept."""
    return cleaned(text) or (None if text else "")


class ImagePatch(BaseModel, extra="forbid", json_schema_extra={"not": {"required": ["alt_text", "alt_text_from"]}}):
    """A JSON merge patch (RFC 7396): a member that is left out keeps its value, null clears it."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_clean)] | None = Field(
        None, description="Trimmed. Control characters are removed.", examples=["Lake at dawn"]
    )
    alt_text: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_clean)] | None = Field(
        None,
        description="What the picture shows, for people who cannot see it. Empty for a decorative picture.",
        examples=["A lake between mountains"],
    )
    alt_text_from: Literal["caption"] | None = Field(
        None, description="`caption`: the image's caption becomes its alt text, and stays if the model changes."
    )
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(cleaned)]] | None = (
        Field(
            None,
            max_length=50,
            description="Replaces all tags. They are trimmed and keep their order. Of tags that differ only in"
            " case, the first stays.",
            examples=[["lake", "dawn"]],
        )
    )

    @model_validator(mode="after")
    def _has_one_alt_text(self) -> ImagePatch:
        if {"alt_text", "alt_text_from"} <= self.model_fields_set:
            raise ValueError("Send either alt_text or alt_text_from.")
        return self


class PatchedResponse(ImageResponse):
    """An image with its new texts, and what could be better about them."""

    warnings: list[str] = Field([], examples=[["The alt text is a file name. Describe what the picture shows."]])


class ListResponse(_Response):
    """A page of images. Send `next_cursor` as `cursor` for the next page. It is null on the last."""

    status: Literal["success"] = "success"
    data: list[ImageResponse]
    next_cursor: str | None
    warnings: list[str] = Field([], description="What is incomplete about the result of a search.")
    review_count: int | None = Field(
        None,
        examples=[412],
        description="How many images are open for review; 10000 means that many or more. Only on the first"
        " page of `review=open` without `q`, else null.",
    )
    error: None = None


def _whole(number: object) -> object:
    """Convert a float such as 5.0, which is an integer in JSON, to an int."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class UploadRequest(BaseModel, extra="forbid"):
    """An upload directly to the bucket. The URL is signed for these values, and the file must match them."""

    filename: str = Field(max_length=MAX_NAME_CHARACTERS, examples=["photo.jpg"])
    content_type: str = Field(examples=["image/jpeg"])
    size: Annotated[int, BeforeValidator(_whole)] = Field(
        ge=0, strict=True, description="Bytes.", examples=[45_000_000]
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-fA-F]{64}$",
        description="SHA-256 of the file in hexadecimal digits. S3 rejects a file that does not match.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class PresignedUpload(_Response):
    """The request to send, with exactly these headers and the file as its body."""

    method: Literal["PUT"] = "PUT"
    url: str = Field(examples=["https://….s3.eu-west-1.amazonaws.com/uploads/img_…/photo.jpg?X-Amz-Algorithm=…"])
    headers: dict[str, str] = Field(
        examples=[{"Content-Type": "image/jpeg", "Content-Length": "45000000", "If-None-Match": "*"}]
    )


class UploadResponse(_Response):
    """A reservation. The image is listed once the file arrives."""

    image_id: str = Field(examples=["img_01kb5q3v8n0h2m4x6c8f0a2d4g"])
    upload: PresignedUpload
    expires_at: str = Field(examples=["2026-11-20T10:15:00Z"])


class ProcessingTimes(_Response):
    """Percentiles in seconds, accurate to 5%. Null until an image is processed."""

    p50: float | None
    p95: float | None
    p99: float | None


class StatsResponse(_Response):
    """Counts of images. Rates refer to finished images, times to successful ones."""

    total: int
    in_progress: int
    success: int
    failed: int
    success_rate: str = Field(examples=["66.67%"])
    failure_rate: str = Field(examples=["33.33%"])
    average_processing_time_seconds: float | None
    processing_time_seconds: ProcessingTimes


class NextModel(_Response):
    """A caption model that is being downloaded or exported, with its progress in `percent`."""

    name: str = Field(examples=["Salesforce/blip-image-captioning-base"])
    percent: int


class ModelQuality(_Response):
    """The precision of the caption model: fp32 is exact, int8 is faster and may change captions.

    The shares say how many captions, and how many of their tokens, were the same as those of its reference when the
    model was exported. They are null if it was not compared.
    """

    precision: str = Field(examples=["int8"])
    identical_captions: float | None = Field(examples=[0.998])
    equal_tokens: float | None = Field(examples=[0.9998])


class HealthResponse(_Response):
    """The service is up. `caption_model` is the last model that a processor loaded, null before that.

    `next_caption_model` is the model that will replace it. Only a local stack downloads a model.
    """

    status: Literal["ok"] = "ok"
    caption_model: str | None
    caption_model_quality: ModelQuality | None = None
    next_caption_model: NextModel | None = None


class Limits(_Response):
    """Maximum size of a file in bytes, for `POST /api/images` and for `POST /api/uploads`."""

    max_post_bytes: int = Field(examples=[4_000_000])
    max_image_bytes: int = Field(examples=[50_000_000])


class IndexResponse(_Response):
    """Name, documentation, endpoints and limits of this service."""

    name: str
    documentation: str
    endpoints: dict[str, str]
    limits: Limits
