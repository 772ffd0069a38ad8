"""Records and queries that are drawn at random: their words overlap, so that queries find some of the records."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from image_core.keys import derived_image_id
from image_core.model import Record, Status
from tests.functional.images import METADATA
from tests.unit.core.builders import record

NOUNS = ["boat", "lake", "hill", "car", "tree", "house", "dog", "cat", "street", "river", "beach", "bridge"]
COLORS = ["red", "green", "blue", "yellow", "white", "black"]
PLACES = ("Paris", "Lago di Como", "Zürich", "New York")
CAMERAS = ({"Make": "Canon", "Model": "EOS R5"}, {"Make": "Nikon", "Model": "Z 6"}, {})


def drawn(number: int, rng: random.Random) -> Record:
    """Return a record with texts that overlap with those of the others; the later ones are newer."""
    image_id = derived_image_id("bucket", str(number))
    caption = f"a {rng.choice(COLORS)} {rng.choice(NOUNS)} next to a {rng.choice(COLORS)} {rng.choice(NOUNS)}"
    return replace(
        record(status=rng.choice((Status.SUCCESS, Status.SUCCESS, Status.SUCCESS, Status.FAILED))),
        image_id=image_id,
        key=f"{number}.jpg",
        created_ms=1_000_000 + number // 3,
        original_name=f"IMG_{number:04}.jpg" if rng.random() < 0.8 else f"{rng.choice(NOUNS)}s-{number}.png",
        caption=caption if rng.random() < 0.9 else None,
        title=rng.choice((None, None, *PLACES)),
        alt_text=rng.choice((None, "", f"{rng.choice(COLORS)} {rng.choice(NOUNS)}s at night")),
        tags=tuple(rng.sample((*NOUNS, "New York", "summer"), rng.randrange(3))),
        metadata=METADATA | {"exif": rng.choice(CAMERAS)},
        processed_ms=5,
    )


def queries(count: int) -> Iterator[tuple[str, Status | None]]:
    rng = random.Random(7)
    for _ in range(count):
        parts = [rng.choice((rng.choice(NOUNS), f"{rng.choice(NOUNS)}s", rng.choice(COLORS), "zurich", "night"))]
        for _ in range(rng.randrange(3)):
            parts.append(
                rng.choice(
                    (
                        rng.choice(NOUNS),
                        rng.choice(COLORS),
                        f'"{rng.choice(COLORS)} {rng.choice(NOUNS)}"',
                        f"-{rng.choice(NOUNS)}",
                        f'-"{rng.choice(COLORS)} {rng.choice(NOUNS)}"',
                        f"tag:{rng.choice(NOUNS)}",
                        'tag:"new york"',
                        "camera:canon",
                        "alt:none",
                        "caption:none",
                    )
                )
            )
        rng.shuffle(parts)
        if rng.random() < 0.4:
            parts.append(rng.choice(NOUNS)[:3])
        yield " ".join(parts) + rng.choice(("", " ")), rng.choice((None, None, Status.SUCCESS, Status.FAILED))
