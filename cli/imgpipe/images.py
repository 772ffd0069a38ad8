"""An image as the API returns it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgpipe.errors import Unreachable

FINISHED = ("success", "failed")
_ID = re.compile(r"img_[0-9a-hjkmnp-tv-z]{26}")


def is_image_id(text: str) -> bool:
    """Whether `text` has the form of an image id."""
    return _ID.fullmatch(text) is not None


def checked_id(text: object) -> str:
    """Return `text` from an API response if it is an image id. Ids become parts of file names and URLs.

    Raises `Unreachable` for anything else, which an image pipeline never sends.
    """
    if isinstance(text, str) and is_image_id(text):
        return text
    raise Unreachable(f"The response has an invalid image id, {str(text)[:80]!r}. Check --api or IMGPIPE_API.")


@dataclass(frozen=True)
class Image:
    """The response of `GET /api/images/{image_id}`, which is also in `raw`. Fields that are not known yet are None.

    Raises `Unreachable` if the id is not a valid image id.
    """

    raw: Mapping[str, Any]

    def __post_init__(self) -> None:
        checked_id(self._data.get("image_id"))

    @property
    def _data(self) -> Mapping[str, Any]:
        data = self.raw.get("data")
        return data if isinstance(data, Mapping) else {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Dimensions, EXIF, caption. Empty until they are known."""
        found = self._data.get("metadata")
        return found if isinstance(found, Mapping) else {}

    @property
    def image_id(self) -> str:
        return str(self._data["image_id"])

    @property
    def status(self) -> str:
        return str(self.raw["status"])

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def name(self) -> str:
        return str(self._data.get("original_name") or "image")

    @property
    def thumbnails(self) -> Mapping[str, Any]:
        """URLs of the thumbnails by size. Empty until they exist."""
        found = self.get("thumbnails")
        return found if isinstance(found, Mapping) else {}

    @property
    def caption(self) -> str | None:
        found = self.metadata.get("caption")
        return str(found) if found else None

    @property
    def error_code(self) -> str | None:
        error = self.raw.get("error")
        return str(error.get("code")) if isinstance(error, Mapping) else None

    @property
    def error_message(self) -> str | None:
        error = self.raw.get("error")
        return str(error.get("message")) if isinstance(error, Mapping) else None

    @property
    def dimensions(self) -> str:
        """Width and height, such as `1920×1080`. Empty if not known."""
        width, height = self.metadata.get("width"), self.metadata.get("height")
        return f"{width}×{height}" if width and height else ""

    @property
    def outcome(self) -> str:
        """One line about the result: the caption, or why there is none."""
        if self.status == "failed":
            return self.error_message or self.error_code or "failed"
        return self.caption or ""

    def get(self, name: str) -> Any:
        """A field of `data`. None if it is missing."""
        return self._data.get(name)
