"""The prompt that captions continue, and captions from tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption
from image_processor.captioning.confidence import Generated, flags_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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

    def caption(self, generated: Generated, *, language: str, low_confidence: float) -> Caption:
        """The caption of the prompt and the tokens `generated` after it."""
        text, after = self.text(generated.tokens), self._decode(generated.tokens)
        return caption_of(text, after, generated, language=language, low_confidence=low_confidence)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of the prompt and of the tokens after it."""
        return self._decode([*self.ids[1:], *tokens])

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def caption_of(
    text: str, after_prompt: str, generated: Generated, *, language: str, low_confidence: float
) -> Caption:
    """The caption of a decoded `text`, with normalized whitespace. `after_prompt` is its part after the prompt."""
    if not after_prompt.strip():
        return Caption(None, "the model had nothing to say about this picture")
    return Caption(
        " ".join(text.split()),
        confidence=generated.confidence,
        flags=flags_of(after_prompt, generated, low_confidence),
        language=language,
    )
