"""All settings in one place: read from the environment once, validated, frozen."""

from __future__ import annotations

import os
import re
from functools import cache

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from image_core import renditions
from image_core.formats import NAMES

LEASE_MARGIN_SECONDS = 10
"""A lease outlives the function that holds it by this much, so that a live worker is never superseded."""

MODEL_MEGABYTES = 1_250
"""Memory of the processor without a picture: the caption model's weights (BLIP-base: 900 MB), its arrays, and the
libraries."""
SPARE_MEGABYTES = 200
"""Memory that cannot be planned, such as free memory that is fragmented."""


class Settings(BaseModel):
    """Environment variables of the same names in capitals; an empty variable means the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uploads_bucket: str = Field(min_length=3)
    thumbnails_bucket: str = Field(min_length=3)
    images_table: str = Field(min_length=3)
    stats_table: str = Field(min_length=3)
    search_table: str = ""
    """Empty only for seconds during an upgrade, when Lambda runs the new code with the old variables."""
    queue_url: str = Field(min_length=1)
    event_bus_name: str = "default"
    """The event bus; only the stream function sends to it."""
    api_url: str | None = None
    """The API's URL, with which the thumbnail URLs in events begin. If unset, they are paths."""

    stats_shards: int = Field(default=10, ge=1, le=100)
    """Number of counter items that writes are spread over. One query adds up all of them, so it can be changed."""

    max_image_bytes: int = Field(default=50_000_000, ge=1)
    max_post_bytes: int = Field(default_factory=lambda data: min(4_000_000, data["max_image_bytes"]), ge=1)
    """Largest file that `POST /api/images` accepts: a Lambda request is 6 MB, base64 and headers included."""
    allowed_formats: tuple[str, ...] = tuple(NAMES)
    """Supported formats, keys of `formats.NAMES`. In the environment they are separated by commas."""
    max_image_pixels: int = Field(default=100_000_000, ge=1)
    max_image_frames: int = Field(default=10_000, ge=1)
    """Maximum number of pictures in one file (animation, pages). Only the first visible one is shown."""
    thumbnails: renditions.Renditions = renditions.parse(renditions.DEFAULT)
    """The renditions to make of each image: `small=150,medium=300,large=1280:webp`."""
    expose_gps: bool = False

    processor_timeout_seconds: int = Field(default=120, ge=5)
    max_attempts: int = Field(default=5, ge=1)
    """Claims of one version in one generation before the image fails as `retries_exhausted`."""
    pending_timeout_seconds: int = Field(default=900, ge=1)
    """Seconds without progress after which the sweep checks a record."""
    upload_url_seconds: int = Field(default=900, ge=1)
    """How long a presigned upload is valid. The reservation outlives it by `pending_timeout_seconds`."""
    download_url_seconds: int = Field(default=300, ge=1)
    aws_endpoint_url: str | None = None
    """URL of an emulator to use instead of AWS. boto3 reads the same variable."""
    local_endpoint_url: str | None = None
    """The same for `sam local`, which can set only variables that the template declares."""
    s3_public_endpoint_url: str | None = None
    """URL of the emulator's S3 for callers, if it differs from the function's (`sam local`)."""

    aws_lambda_function_memory_size: int | None = None
    """Memory of this function in MB. Set by Lambda, unset elsewhere."""
    api_key_secret_arn: str | None = None
    """The secret that holds the API key for all paths under /api. If unset, no key is required (local stack)."""
    public_docs: bool = True
    """Whether the API's documentation is served without that key."""
    cors_origins: str | None = None
    """Other origins whose web pages may call the API: `https://a.example,https://b.example`, or `*`."""
    webhook_url: str | None = None
    """The URL that receives webhooks. Only the webhooks function sends to it."""
    webhook_secret_arn: str | None = None
    """The secret that signs them."""
    webhook_queue_url: str | None = None
    """The queue of events that wait to be delivered to it."""

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    models_dir: str = "models"
    """The folder that contains `exported` and `demo`. The real caption model is used if it exists, else the demo
    model."""
    caption_model_dir: str | None = None
    """A model folder to use instead."""
    caption_prompt: str | None = None
    """Text that captions continue. If unset or empty, the model's own prompt is used."""
    caption_max_tokens: int = Field(default=20, ge=1, le=200)

    @property
    def endpoint_url(self) -> str | None:
        """URL of the emulator that replaces AWS. None on AWS."""
        return self.local_endpoint_url or self.aws_endpoint_url

    @property
    def lease_seconds(self) -> int:
        """How long a claim is valid: longer than the function can run."""
        return self.processor_timeout_seconds + LEASE_MARGIN_SECONDS

    @property
    def upload_seconds(self) -> int:
        """How long a file may still arrive after its URL was presigned: validity and duration of the upload."""
        return self.upload_url_seconds + self.pending_timeout_seconds

    @property
    def account_id(self) -> str | None:
        """The AWS account of the stack, taken from its queue's URL."""
        match = re.search(r"/(\d{12})/[^/]+$", self.queue_url)
        return match[1] if match else None

    @property
    def decoding_bytes(self) -> int | None:
        """Memory for decoding one picture, in addition to the caption model and two copies of the file.

        None outside of Lambda, where the memory is unknown.
        """
        if self.aws_lambda_function_memory_size is None:
            return None
        room = self.aws_lambda_function_memory_size - MODEL_MEGABYTES - SPARE_MEGABYTES
        return max(0, room * 1_000_000 - 2 * self.max_image_bytes)

    @field_validator("allowed_formats", mode="before")
    @classmethod
    def _list_of_formats(cls, value: object) -> object:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple):
            return value
        wanted = {str(name).strip().lower() for name in names} - {""}
        unknown = wanted - set(NAMES)
        if unknown or not wanted:
            raise ValueError(f"ALLOWED_FORMATS must name some of {', '.join(NAMES)}; not {', '.join(unknown)}")
        return tuple(name for name in NAMES if name in wanted)

    @field_validator("thumbnails", mode="before")
    @classmethod
    def _table_of_thumbnails(cls, value: object) -> object:
        return renditions.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sizes_are_ordered(self) -> Settings:
        if self.max_post_bytes > self.max_image_bytes:
            raise ValueError("MAX_POST_BYTES must not be larger than MAX_IMAGE_BYTES")
        return self


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment at the first call."""
    # pydantic-settings would do this, too, but costs a tenth of the cold start: it also reads command lines and
    # .env files.
    return Settings.model_validate({n: v for n in Settings.model_fields if (v := os.environ.get(n.upper()))})
