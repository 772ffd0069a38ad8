"""Pictures to compare captions on: drawn ones, photographs that packages ship, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps

from image_core.errors import ModelError
from models.demo.drawing import TEST_SEEDS, draw

Source = Literal["drawn", "photographs", "own"]

COMPARED_SEEDS = TEST_SEEDS[5_000_000:]
"""Seeds that neither training nor the published evaluation of the demo model uses."""
MEASURED_SEEDS = TEST_SEEDS[6_000_000:]
"""Seeds of the pictures that forms of products are chosen by: not those that the result is compared on."""

PACKAGES = Path(__file__).parents[1] / ".photographs"
"""The folder of packages with photographs, which `make model PHOTOGRAPHS=1` installs."""
PHOTOGRAPHS = {
    "skimage/data": (
        "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
        "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
        "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
    ),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
}  # fmt: skip
"""The photographs in scikit-image and scikit-learn, by folder."""
CROPS = {"whole": (0, 0, 1, 1), "top left": (0, 0, 0.6, 0.6), "top right": (0.4, 0, 1, 0.6),
         "bottom left": (0, 0.4, 0.6, 1), "bottom right": (0.4, 0.4, 1, 1)}  # fmt: skip
"""Each photograph is compared as a whole and in parts: left, top, right and bottom as shares of its size."""
DRAWN_PICTURES = 100
MAX_SIDE = 1024
"""Larger pictures are reduced to this side, as the pipeline does before it captions them."""


@dataclass(frozen=True)
class Sample:
    """A picture (RGB), and its name for people."""

    name: str
    source: Source
    picture: Image.Image


@dataclass(frozen=True)
class Compared:
    """The pictures that captions are compared on: `drawn` ones, those in `folder`, and photographs of installed
    packages if `packaged`."""

    drawn: int = DRAWN_PICTURES
    folder: Path | None = None
    packaged: bool = True

    def samples(self) -> Iterator[Sample]:
        """All of them. Says which photographs are skipped."""
        yield from drawn_pictures(self.drawn)
        if self.packaged:
            found = list(photographs())
            if not found:
                print("photographs are skipped: PHOTOGRAPHS=1 installs the packages that contain them")
            yield from found
        if self.folder is not None:
            yield from own_pictures(self.folder)


def drawn_pictures(count: int, seeds: range = COMPARED_SEEDS) -> Iterator[Sample]:
    """Draw `count` pictures like those that the demo model was trained on."""
    for seed in seeds[:count]:
        yield Sample(f"drawn picture {seed}", "drawn", draw(seed).picture)


def photographs(packages: Path = PACKAGES) -> Iterator[Sample]:
    """The photographs in `packages`, and parts of them. None if the packages are not installed."""
    for folder, names in PHOTOGRAPHS.items():
        for name in names:
            picture = open_picture(packages / folder / name)
            if picture is not None:
                for crop, box in CROPS.items():
                    yield Sample(f"{name}, {crop}", "photographs", _crop(picture, box))


def own_pictures(folder: Path) -> Iterator[Sample]:
    """All pictures in `folder` and below. Other files are skipped. Raises `ModelError` if there are none."""
    found = False
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        picture = open_picture(path)
        if picture is not None:
            found = True
            yield Sample(str(path.relative_to(folder)), "own", picture)
    if not found:
        raise ModelError(f"{folder} contains no pictures that can be opened")


def open_picture(path: Path) -> Image.Image | None:
    """An upright RGB picture. None if the file is not a picture."""
    try:
        with Image.open(path) as file:
            file.draft("RGB", (MAX_SIDE, MAX_SIDE))
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    return picture


def _crop(picture: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = box
    return picture.crop(
        (
            round(left * picture.width),
            round(top * picture.height),
            round(right * picture.width),
            round(bottom * picture.height),
        )
    )
