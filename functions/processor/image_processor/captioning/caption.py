"""Captions, the interface of a captioner, and the prompt that captions continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from image_core.errors import ModelError

if TYPE_CHECKING:
    from PIL import Image
    from tokenizers import Tokenizer


CAPTION_VERSION = 1
"""Increase this when the same tokens would become another caption, or other tokens would be chosen."""


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


class Captioner(Protocol):
    """Describes pictures. The same picture always gets the same caption."""

    @property
    def model(self) -> str:
        """Name and revision of the model, such as "Salesforce/blip-image-captioning-base@<revision>"."""
        ...

    @property
    def recipe(self) -> str:
        """Hash of everything besides the pixels that decides a caption: model, prompt, limit, CAPTION_VERSION."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the model's square input."""
        ...

    def caption(self, picture: Image.Image) -> Caption:
        """Caption an upright RGB picture of any size. The text begins with the prompt, if there is one."""
        ...


class Prompt:
    """The text that every caption continues, as tokens: a begin token and the tokens of the prompt."""

    def __init__(self, text: str, tokenizer: Tokenizer, begin: int) -> None:
        """`text` is empty for no prompt. `begin` is the id of the token that begins every caption."""
        self._tokenizer = tokenizer
        self.ids: list[int] = [begin, *tokenizer.encode(text, add_special_tokens=False).ids]

    def require_room(self, max_new_tokens: int, limit: int) -> None:
        """Raise `ModelError` if a model of `limit` positions has no room for `max_new_tokens` after the prompt."""
        if max_new_tokens < 1:
            raise ModelError(f"CAPTION_MAX_TOKENS is {max_new_tokens}; it must be at least 1")
        if len(self.ids) + max_new_tokens > limit:
            raise ModelError(
                f"CAPTION_PROMPT of {len(self.ids) - 1} tokens and CAPTION_MAX_TOKENS of {max_new_tokens} are too "
                f"long together: the model has room for {limit - 1}. Shorten one of them."
            )

    def caption(self, ids: Sequence[int]) -> Caption:
        """Decode `ids` to a caption: `self.ids`, followed by the generated tokens."""
        return caption_of(self._decode(ids[1:]), self._decode(ids[len(self.ids) :]))

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def caption_of(text: str, generated: str) -> Caption:
    """The caption of a decoded `text`, with normalized whitespace. `generated` is its part after the prompt."""
    if not generated.strip():
        return Caption(None, "the model had nothing to say about this picture")
    return Caption(" ".join(text.split()))
