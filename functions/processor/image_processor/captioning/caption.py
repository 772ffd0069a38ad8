"""What a captioner is and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Caption:
    """A caption, or None and why there is none: never an empty text."""

    text: str | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.reason):
            raise ValueError("a caption has a text or a reason why there is none, and not both")


class Captioner(Protocol):
    """Says what is in a picture. Greedy: the same picture gets the same caption."""

    @property
    def model(self) -> str:
        """Name and revision of the model, such as "Salesforce/blip-image-captioning-base@<revision>"."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that it squeezes pictures into."""
        ...

    def caption(self, picture: Image.Image) -> Caption:
        """Caption an upright RGB picture of any size. The text begins with the prompt, if there is one."""
        ...

    def caption_ids(self, picture: Image.Image) -> list[int]:
        """The token ids of the caption: begin token, prompt, what was generated, and the end token if reached."""
        ...


def caption_of(text: str, generated: str) -> Caption:
    """The caption of a decoded `text`, of which `generated` is what follows the prompt; spaces tidied."""
    if not generated.strip():
        return Caption(None, "the model had nothing to say about this picture")
    return Caption(" ".join(text.split()))
