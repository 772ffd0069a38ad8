"""Compare the captions of an export with those of a reference on the same pictures.

The export gets the tokens of the reference, so that every step can be compared. If its best token is always the
same, it generates the same caption on its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning.confidence import log_probability
from image_processor.captioning.model_folder import Agreement, Manifest, WorstPicture, read_manifest
from image_processor.captioning.onnx_captioner import load_tokenizer
from image_processor.captioning.onnx_graphs import BoundGraphs
from image_processor.captioning.preprocess import Preprocessor
from image_processor.captioning.prompt import Prompt
from image_processor.captioning.repetition import Repetition, find_repetition
from models.pictures import Sample
from models.reference import Reference
from models.weights import Floats

Generated = tuple[list[int], list[Floats]]
"""The generated tokens, and the logits that each was chosen from."""
Generate = Callable[[Floats, list[int], int], Generated]
"""Generate at most a number of tokens for `pixels` after some first tokens."""


class Export:
    """The graphs of an export, which generate tokens or follow given ones."""

    def __init__(self, folder: Path) -> None:
        self.manifest: Manifest = read_manifest(folder)
        graphs = self.manifest.graphs
        assert graphs is not None
        self._tokenizer = load_tokenizer(folder)
        self.prompt = Prompt(self.manifest.prompt, self._tokenizer, self.manifest.token_ids.bos)
        self.preprocess = Preprocessor(self.manifest.image_size, graphs.image_mean, graphs.image_std)
        length = len(self.prompt.ids) + self.manifest.max_new_tokens
        self._graphs = BoundGraphs(
            folder, graphs, self.manifest.image_size, length, precision=self.manifest.precision
        )

    def generate(self, pixels: Floats, start: list[int], max_new_tokens: int) -> Generated:
        """Generate tokens like the captioner, but do not stop at a repetition."""
        tokens: list[int] = []
        kept: list[Floats] = []
        logits = self._graphs.start(pixels, start)
        while True:
            kept.append(logits.copy())
            tokens.append(int(logits.argmax()))
            if tokens[-1] == self.manifest.token_ids.eos or len(tokens) == max_new_tokens:
                return tokens, kept
            logits = self._graphs.step(tokens[-1])

    def follow(self, pixels: Floats, start: list[int], tokens: list[int]) -> list[Floats]:
        """The logits at each of `tokens`."""
        kept = [self._graphs.start(pixels, start).copy()]
        kept.extend(self._graphs.step(token).copy() for token in tokens[:-1])
        return kept

    def repetition(self, tokens: list[int]) -> Repetition | None:
        """The repetition in generated tokens that ends their caption."""
        return find_repetition(tokens, self._tokenizer.id_to_token, self.manifest.language)

    def text(self, tokens: list[int]) -> str:
        """The caption of generated tokens."""
        found = self.repetition(tokens)
        return self.prompt.text(tokens[: found.kept] if found else tokens)


@dataclass(frozen=True)
class _Compared:
    sample: Sample
    tokens: int
    equal: int
    difference: float
    """Sum over the tokens of the absolute difference of log-probabilities."""

    @property
    def badness(self) -> tuple[float, float]:
        return 1 - self.equal / self.tokens, self.difference / self.tokens


def agreement_with_fp32(folder: Path, reference: Path, samples: Iterable[Sample]) -> Agreement:
    """Compare the export in `folder` with another one."""
    return _compare(Export(folder), Export(reference).generate, samples, "fp32")


def agreement_with_transformers(folder: Path, checkpoint: Path, samples: Iterable[Sample]) -> Agreement:
    """Compare the export in `folder` with its checkpoint in transformers."""
    return _compare(Export(folder), Reference(checkpoint).generate, samples, "transformers")


def _compare(export: Export, generate: Generate, samples: Iterable[Sample], reference: str) -> Agreement:
    start, limit = export.prompt.ids, export.manifest.max_new_tokens
    compared: list[_Compared] = []
    for sample in samples:
        pixels = export.preprocess(sample.picture)
        tokens, expected = generate(pixels, start, limit)
        if found := export.repetition(tokens):  # later tokens do not change the caption
            tokens, expected = tokens[: found.seen], expected[: found.seen]
        actual = export.follow(pixels, start, tokens)
        equal = sum(int(logits.argmax()) == token for token, logits in zip(tokens, actual, strict=True))
        difference = sum(
            abs(log_probability(ours, token) - log_probability(theirs, token))
            for token, ours, theirs in zip(tokens, actual, expected, strict=True)
        )
        compared.append(_Compared(sample, len(tokens), equal, difference))
    if not compared:
        raise ModelError("there are no pictures to compare captions on")
    worst = max(compared, key=lambda one: one.badness)
    pixels = export.preprocess(worst.sample.picture)
    count = sum(one.tokens for one in compared)
    return Agreement.model_validate(
        {
            "reference": reference,
            "pictures": Counter(one.sample.source for one in compared),
            "identical_captions": round(sum(one.equal == one.tokens for one in compared) / len(compared), 6),
            "equal_tokens": round(sum(one.equal for one in compared) / count, 6),
            "log_probability_difference": round(sum(one.difference for one in compared) / count, 6),
            "worst": WorstPicture(
                picture=worst.sample.name,
                expected=export.text(generate(pixels, start, limit)[0]),
                actual=export.text(export.generate(pixels, start, limit)[0]),
            ),
        }
    )


def describe(agreement: Agreement, precision: str) -> str:
    """The agreement as lines for people."""
    pictures = ", ".join(f"{count} {source}" for source, count in agreement.pictures.items())
    worst = agreement.worst
    return (
        f"{precision} and {agreement.reference} on {sum(agreement.pictures.values())} pictures ({pictures}): "
        f"{agreement.identical_captions:.1%} of captions identical, {agreement.equal_tokens:.2%} of tokens equal, "
        f"mean difference of log-probabilities {agreement.log_probability_difference:.2g}\n"
        f"  worst picture: {worst.picture}\n"
        f"    {agreement.reference}: {worst.expected}\n"
        f"    {precision}: {worst.actual}"
    )
