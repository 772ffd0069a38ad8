"""Captions as token ids for training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.demo.vocabulary import PROMPTS

IGNORED = -100
"""A label that the loss ignores."""

OTHER_PROMPT, NO_PROMPT = 0.1, 0.15
"""Share of captions that continue another prompt than the default, or none."""


class Sentences:
    """Token ids of every caption and prompt, combined batch by batch."""

    def __init__(self, tokenizer: Any, captions: list[str]) -> None:
        def ids(text: str) -> list[int]:
            return [int(one) for one in tokenizer.encode(text, add_special_tokens=False)]

        known = {caption: ids(caption) for caption in set(captions)}
        self._captions = [known[caption] for caption in captions]
        self._prompts = [ids(prompt) for prompt in PROMPTS]
        self._bos, self._eos = int(tokenizer.bos_token_id), int(tokenizer.sep_token_id)
        self._pad = int(tokenizer.pad_token_id)

    def batch(
        self, indices: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and labels (N, longest): `[DEC]`, a prompt that the loss ignores, the caption, `[SEP]`."""
        rows, learned = [], []
        for index in indices:
            prompt = self._prompt(rng)
            rows.append([self._bos, *prompt, *self._captions[int(index)], self._eos])
            learned.append(1 + len(prompt))
        inputs = np.full((len(rows), max(map(len, rows))), self._pad, dtype=np.int64)
        labels = np.full_like(inputs, IGNORED)
        for row, start, input_row, label_row in zip(rows, learned, inputs, labels, strict=True):
            input_row[: len(row)] = row
            label_row[start : len(row)] = row[start:]
        return inputs, labels

    def _prompt(self, rng: np.random.Generator) -> list[int]:
        chance = rng.random()
        if chance < NO_PROMPT:
            return []
        if chance < NO_PROMPT + OTHER_PROMPT:
            return self._prompts[int(rng.integers(1, len(self._prompts)))]
        return self._prompts[0]
