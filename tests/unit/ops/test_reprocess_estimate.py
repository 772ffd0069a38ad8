"""`ops reprocess` without --apply: what it prints about time and cost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from image_core.model import Stage, Stats, Status
from ops.reprocess import Measured, Reprocessed, Times
from ops.reprocess_estimate import duration, lines
from ops.target import Processor
from tests.running_stack import ROOT

LAMBDA = Processor(5, 3008 / 1024, "x86_64")
OLD, NEW = "demo@1", "blip@2"


def printed(
    done: Reprocessed, *, stats: Stats | None = None, processor: Processor | None = LAMBDA, **options: Any
) -> str:
    defaults: dict[str, Any] = {"stage": Stage.CAPTION, "force": False, "current_model": NEW, "rate": 50}
    return "\n".join(lines(done, stats or Stats(), processor=processor, **(defaults | options)))


def found(images: int, seconds: float = 1.7, *, model: str = OLD, current: Times | None = None) -> Reprocessed:
    measured = Measured(Times(images, int(images * seconds * 1000)), current or Times())
    return Reprocessed(images, images, 0, Counter({model: images}), measured)


def test_the_cost_of_a_million_captions_is_that_of_the_documentation() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = text[text.index("## What a reprocess costs") :].partition("\n## ")[0]
    output = printed(found(1_000_000))
    (cost,) = [line for line in output.splitlines() if line.startswith("Cost")]
    total, processor, rest = (part.split()[0] for part in cost.split("$")[1:])
    assert f"**${total}**" in table
    assert f"${processor} |" in table
    assert f"${rest}" in output
    assert "Time: about 3 d 22 h (1,000,000 images × 1.70 s, 5 at a time)." in output


def test_times_of_the_current_model_are_preferred_and_the_basis_is_named() -> None:
    output = printed(found(100, 0.02, current=Times(3, 6_000)))
    assert "(100 images × 2.00 s, 5 at a time)" in output
    assert "the mean processing time of 3 images with a caption of the current model" in output
    assert "may include thumbnails, which this run does not make" in output
    assert "last processed" in printed(found(100, 0.02))
    failed = Reprocessed(matching=4)
    assert "of 10 images of the stack" in printed(failed, stats=Stats({Status.SUCCESS: 10}, 10_000))


def test_without_a_measurement_nothing_is_estimated() -> None:
    assert "cannot be estimated: no image was processed yet" in printed(Reprocessed(matching=4))
    assert "cannot be estimated: the size of the processor is not known" in printed(found(4), processor=None)


def test_a_local_stack_costs_nothing() -> None:
    assert "Cost: none" in printed(found(4), processor=Processor(2))


def test_a_low_rate_decides_the_time() -> None:
    assert "Time: about 17 min, because --rate is 1 per second." in printed(found(1000, 1), rate=1)


def test_captions_are_counted_by_model_and_copied_ones_are_announced() -> None:
    assert f"11  {OLD}" in printed(found(11))
    assert "copied" not in printed(found(11))
    assert "11 of them are by the current model already" in printed(found(11, model=NEW))
    assert "copied" not in printed(found(11, model=NEW), force=True)
    assert OLD not in printed(found(11), stage=Stage.THUMBNAILS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (91, "2 min"),
        (3_600, "60 min"),
        (6_000, "1 h 40 min"),
        (200_000, "2 d 8 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
