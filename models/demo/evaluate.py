"""Evaluate the demo model: `python -m models.demo.evaluate [--count N] [picture …]`.

It captions newly drawn pictures, with seeds that training never uses, with transformers, and compares whole
captions. With picture files, it captions these instead.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from models.demo.drawing import PROMPT, TEST_SEEDS, draw
from models.reference import Reference

CHECKPOINT = Path(__file__).parent / "checkpoint"


@dataclass(frozen=True)
class Answer:
    """The result for one drawn picture: the expected caption and the actual one, each with its prompt."""

    seed: int
    kind: str
    expected: str
    caption: str | None

    @property
    def exact(self) -> bool:
        return self.caption == self.expected


def evaluate(folder: Path, count: int, first_seed: int = TEST_SEEDS.start, prompt: str = PROMPT) -> list[Answer]:
    """Caption `count` pictures, half of them shapes and half scenes."""
    reference = Reference(folder)
    answers = []
    for seed in range(first_seed, first_seed + count):
        drawn = draw(seed)
        caption = reference.caption(drawn.picture, prompt)
        answers.append(Answer(seed, drawn.kind, f"{prompt} {drawn.caption}".strip(), caption.text))
    return answers


def print_report(answers: list[Answer]) -> None:
    """Print exact-match rates by kind, and every wrong caption."""
    for kind in ("shape", "scene"):
        print_rate(f"{kind}s", [answer for answer in answers if answer.kind == kind])
    wrong = [answer for answer in answers if not answer.exact]
    for answer in wrong:
        print(f"  seed {answer.seed}: expected “{answer.expected}”, got “{answer.caption}”")
    words = Counter(missed for answer in wrong for missed in _missed(answer))
    print("words missed most:", ", ".join(f"{word} ({count})" for word, count in words.most_common(8)) or "none")
    print_rate("all", answers)


def print_rate(name: str, answers: list[Answer]) -> None:
    """Print how many captions are exactly right."""
    exact = sum(answer.exact for answer in answers)
    print(f"exact captions, {name}: {exact} of {len(answers)} ({exact / max(1, len(answers)):.1%})")


def _missed(answer: Answer) -> set[str]:
    return set(answer.expected.replace(",", "").split()) - set((answer.caption or "").replace(",", "").split())


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
