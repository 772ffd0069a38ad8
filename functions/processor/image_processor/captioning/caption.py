"""Captions, and the interface of a captioner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

CAPTION_VERSION = 2
"""Increase this when the same tokens would become another caption, confidence or flag, or other tokens would be
chosen. A repetition has a version of its own: `REPETITION_VERSION`."""


@dataclass(frozen=True)
class Caption:
    """A caption, or None and the reason why there is none. The text is never empty.

    `confidence`: from 0 to 1, rounded to 4 decimals. `language`: BCP 47. Captions of old records lack the last
    three.
    """

    text: str | None
    reason: str | None = None
    confidence: float | None = None
    flags: tuple[str, ...] | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.reason):
            raise ValueError("a caption has either a text or a reason why there is none")
        if self.confidence is not None and not 0 <= self.confidence <= 1:  # also NaN, of damaged weights
            raise ValueError(f"a confidence of {self.confidence}")


class Captioner(Protocol):
    """Describes pictures. The same picture always gets the same caption."""

    @property
    def model(self) -> str:
        """Name and revision of the model, such as "Salesforce/blip-image-captioning-base@<revision>"."""
        ...

    @property
    def recipe(self) -> str:
        """Hash of everything besides the pixels that decides a caption: model, prompt, limit, versions of rules."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the model's square input."""
        ...

    def caption(self, picture: Image.Image) -> Caption:
        """Caption an upright RGB picture of any size. The text begins with the prompt, if there is one."""
        ...
