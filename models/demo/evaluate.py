"""Evaluate the demo model: `python -m models.demo.evaluate [--count N] [picture …]`.

It captions newly drawn pictures, with seeds that training never uses, with transformers, compares whole captions,
and prints how reliable the confidence is. With picture files, it captions these instead.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from image_processor.captioning.model_folder import read_manifest
from image_processor.captioning.onnx_captioner import low_confidence_of
from models.demo.drawing import PROMPT, TEST_SEEDS, draw
from models.reference import Reference
from models.reliability import Judged, report

CHECKPOINT = Path(__file__).parent / "checkpoint"


@dataclass(frozen=True)
class Prediction:
    """The result for one drawn picture: the expected caption and the actual one, each with its prompt."""

    seed: int
    kind: str
    expected: str
    caption: str | None
    confidence: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return self.caption == self.expected


def evaluate(
    folder: Path, count: int, first_seed: int = TEST_SEEDS.start, prompt: str = PROMPT
) -> list[Prediction]:
    """Caption `count` pictures, half of them shapes and half scenes."""
    reference = Reference(folder, low_confidence=low_confidence_of(read_manifest(folder)))
    predictions = []
    for seed in range(first_seed, first_seed + count):
        drawn = draw(seed)
        caption = reference.caption(drawn.picture, prompt)
        expected = f"{prompt} {drawn.caption}".strip()
        predictions.append(
            Prediction(seed, drawn.kind, expected, caption.text, caption.confidence, caption.flags or ())
        )
    return predictions


def print_report(predictions: list[Prediction]) -> None:
    """Print exact-match rates by kind, every wrong caption, and the reliability of the confidence."""
    for kind in ("shape", "scene"):
        print_rate(f"{kind}s", [prediction for prediction in predictions if prediction.kind == kind])
    misses = [prediction for prediction in predictions if not prediction.exact]
    for prediction in misses:
        print(f"  seed {prediction.seed}: expected “{prediction.expected}”, got “{prediction.caption}”")
    words = Counter(missed for prediction in misses for missed in _missed(prediction))
    print("words missed most:", ", ".join(f"{word} ({count})" for word, count in words.most_common(8)) or "none")
    judged = [Judged(one.confidence, one.flags, one.exact) for one in predictions if one.confidence is not None]
    print(f"\n{report(judged)}\n")
    print_rate("all", predictions)


def print_rate(name: str, predictions: list[Prediction]) -> None:
    """Print how many captions are exactly right."""
    exact = sum(prediction.exact for prediction in predictions)
    print(f"exact captions, {name}: {exact} of {len(predictions)} ({exact / max(1, len(predictions)):.1%})")


def _missed(prediction: Prediction) -> set[str]:
    return set(prediction.expected.replace(",", "").split()) - set(
        (prediction.caption or "").replace(",", "").split()
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", type=Path, help="picture files to caption, instead of drawn ones")
    parser.add_argument("--count", type=int, default=500, help="number of pictures to draw")
    parser.add_argument("--first-seed", type=int, default=TEST_SEEDS.start)
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="checkpoint")
    arguments = parser.parse_args()
    if not arguments.pictures:
        print_report(evaluate(arguments.model, arguments.count, arguments.first_seed))
        return
    reference = Reference(arguments.model)
    for path in arguments.pictures:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        caption = reference.caption(upright, PROMPT)
        print(f"{path.name}: {caption.text or f'no caption: {caption.reason}'}")


if __name__ == "__main__":
    main()
