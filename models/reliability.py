"""How reliable the confidence of captions is: a table for pictures whose right captions are known.

`python -m models.reliability FOLDER [--model FOLDER]` captions labeled pictures, prints the table and suggests a
threshold for the flag `low_confidence`. `make model LABELED=FOLDER` does the same after the export.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning import Caption, find_model_dir
from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.onnx_captioner import OnnxCaptioner, low_confidence_of
from models.labels import Labels, labeled_pictures, read_labels

BINS = 10
ENOUGH = 20
"""Fewer right or wrong captions than this say nothing about a threshold."""


@dataclass(frozen=True)
class Judged:
    """The confidence and flags of one caption, and whether the caption is right."""

    confidence: float
    flags: tuple[str, ...]
    is_right: bool


@dataclass(frozen=True)
class Threshold:
    """A limit of confidence: which share of all wrong captions is below it, and which share below it is wrong."""

    confidence: float
    found: float
    precise: float

    @property
    def f1(self) -> float:
        return 2 * self.found * self.precise / max(self.found + self.precise, 1e-9)


def is_accepted(caption: str, labels: Iterable[str], prompt: str = "") -> bool:
    """Whether a caption has the words of one of `labels`, with or without the prompt. Only the words count."""
    words, start = _words(caption), _words(prompt)
    accepted = [_words(label) for label in labels]
    return words in accepted or (words[: len(start)] == start and words[len(start) :] in accepted)


def report(judged: Sequence[Judged]) -> str:
    """The reliability table in Markdown, with the calibration error, the flags and a threshold."""
    if not judged:
        return "No caption to judge."
    bins = _bins(judged)
    error = sum(len(one) * abs(_mean_confidence(one) - _right(one)) for one in bins) / len(judged)
    lines = ["| confidence | captions | mean confidence | right |", "|---|--:|--:|--:|"]
    lines += [
        f"| {one[0].confidence:.4f} to {one[-1].confidence:.4f} | {len(one)} | {_mean_confidence(one):.4f} "
        f"| {_right(one):.1%} |"
        for one in bins
    ]
    lines.append(f"| all | {len(judged)} | {_mean_confidence(judged):.4f} | {_right(judged):.1%} |")
    lines.append(f"\nExpected calibration error of these bins: {error:.3f}.")
    groups = {
        "captions": judged,
        "wrong captions": [one for one in judged if not one.is_right],
        "right captions": [one for one in judged if one.is_right],
    }
    for flag in ("low_confidence", "repetitive", "too_short"):
        shares = (f"{_share(flag, group):.1%} of {name}" for name, group in groups.items() if group)
        lines.append(f"{flag}: {', '.join(shares)}.")
    best = suggested_threshold(judged)
    if best is None:
        lines.append(f"No threshold is suggested: it needs {ENOUGH} right and {ENOUGH} wrong captions.")
    else:
        lines.append(
            f"Suggested threshold: {best.confidence:.4f}. It flags {best.found:.1%} of wrong captions; "
            f"{best.precise:.1%} of flagged captions are wrong."
        )
    return "\n".join(lines)


def suggested_threshold(judged: Sequence[Judged]) -> Threshold | None:
    """The threshold that best balances how many wrong captions it flags and how many flagged ones are wrong (F1).

    None if there are too few right or wrong captions.
    """
    wrong = sum(not one.is_right for one in judged)
    if min(wrong, len(judged) - wrong) < ENOUGH:
        return None
    candidates, wrong_below = [], 0
    ordered = sorted(judged, key=lambda one: one.confidence)
    for below, (one, following) in enumerate(pairwise(ordered), start=1):
        wrong_below += not one.is_right
        if following.confidence > one.confidence:
            candidates.append(Threshold(following.confidence, wrong_below / wrong, wrong_below / below))
    return max(candidates, key=lambda one: one.f1, default=None)


def judge_labeled(model: Path, labels: Labels) -> str:
    """Caption the labeled pictures with the export in `model`.

    Returns the report, and the captions that no label accepts, as lines for the file of labels. A person who finds
    one of them right appends it there.
    """
    captioner, manifest = OnnxCaptioner(model), read_manifest(model)
    judged, refused, empty = [], [], 0
    for name, picture, accepted in labeled_pictures(labels):
        caption: Caption = captioner.caption(picture)
        if caption.text is None or caption.confidence is None:
            empty += 1
            continue
        is_right = is_accepted(caption.text, accepted, manifest.prompt)
        judged.append(Judged(caption.confidence, caption.flags or (), is_right))
        if not is_right:
            refused.append((name, caption.text))
    threshold = f"threshold of low_confidence: {low_confidence_of(manifest)}"
    threshold += "" if manifest.low_confidence is not None else ", not calibrated"
    parts = [f"Reliability of {manifest.model}, {threshold}.\n", report(judged)]
    if empty:
        parts.append(f"Pictures without a caption, which do not count: {empty}.")
    if refused:
        parts.append(f"\nCaptions that no label accepts. Append the right ones to {labels.file}:\n{_csv(refused)}")
    return "\n".join(parts)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _bins(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Bins of about the same size: the confidences of one model are close together. Equal ones share a bin."""
    ordered = sorted(judged, key=lambda one: one.confidence)
    bins: list[list[Judged]] = [[]]
    for number, one in enumerate(ordered):
        is_full = number >= len(ordered) * len(bins) / BINS
        if is_full and one.confidence > bins[-1][-1].confidence:
            bins.append([])
        bins[-1].append(one)
    return bins


def _mean_confidence(judged: Sequence[Judged]) -> float:
    return sum(one.confidence for one in judged) / len(judged)


def _right(judged: Sequence[Judged]) -> float:
    return sum(one.is_right for one in judged) / len(judged)


def _share(flag: str, judged: Sequence[Judged]) -> float:
    return sum(flag in one.flags for one in judged) / len(judged)


def _csv(rows: Iterable[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.reliability", description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures, with labels.csv or labels.jsonl")
    parser.add_argument("--model", type=Path, help="default: the exported model, else the demo model")
    options = parser.parse_args(arguments)
    try:
        model = options.model or find_model_dir(Path(__file__).parent)
        print(judge_labeled(model, read_labels(options.folder)))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
