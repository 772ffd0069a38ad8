"""How sure the model was of a caption, and the flags that say why a person should check it.

The confidence is the geometric mean of the probabilities that the model gave to the tokens it chose: exp of the
mean log-probability. It does not depend on the length of the caption, as the product would. Tokens of the prompt
do not count, because the model did not choose them. The end token counts if the model reached it: to end there was
its choice, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_processor.captioning.repetition import Repetition

LOW_CONFIDENCE = 0.35
"""Captions below this are flagged, unless model.json has a `low_confidence` of its own.

A guess: it is not calibrated for BLIP. docs/captions.md describes how to calibrate it with labeled pictures.
"""
SHORT_WORDS = 3
"""A caption with fewer words after the prompt, such as "a dog", says too little."""


@dataclass(frozen=True)
class Generated:
    """The tokens that a model chose after the prompt, and the log-probability of each.

    `is_repetitive`: a repetition was cut off, so there is no end token.
    """

    tokens: Sequence[int]
    log_probabilities: Sequence[float]
    is_repetitive: bool = False

    @property
    def confidence(self) -> float:
        """From 0 to 1, rounded to 4 decimals. There must be tokens."""
        return round(math.exp(sum(self.log_probabilities) / len(self.log_probabilities)), 4)

    def before(self, repetition: Repetition | None) -> Generated:
        """Only the tokens that stay."""
        if repetition is None:
            return self
        kept = repetition.kept
        return Generated(self.tokens[:kept], self.log_probabilities[:kept], is_repetitive=True)


def log_probability(logits: NDArray[np.float32], token: int) -> float:
    """The logarithm of the probability of `token`, given the logits (vocabulary) of all tokens.

    Raises `ValueError` if there is no distribution, as with damaged weights.
    """
    largest = float(logits.max())
    if not math.isfinite(largest):
        raise ValueError(f"the largest logit is {largest}; the model's weights may be damaged")
    shifted = logits - largest
    return float(shifted[token]) - math.log(np.exp(shifted).sum(dtype=np.float64))


def flags_of(text: str, generated: Generated, low_confidence: float) -> tuple[str, ...]:
    """The flags of a caption. `text` is the part after the prompt."""
    flags = {
        "low_confidence": generated.confidence < low_confidence,
        "repetitive": generated.is_repetitive,
        "too_short": len(re.findall(r"\w+", text)) < SHORT_WORDS,
    }
    return tuple(name for name, applies in flags.items() if applies)
