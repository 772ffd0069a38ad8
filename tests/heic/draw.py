"""Draw the HEIC files in this folder: `python -m tests.heic.draw`, with pillow-heif 1.4.0 installed.

The pipeline's decoder cannot write HEIC, and pillow-heif's wheels contain x265 (GPL). So the files (13 KB in total)
are in the repository, and pillow-heif is not a requirement.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif  # type: ignore[import-not-found]
from PIL import Image

from tests.pictures import exif, scene, see_through, stored

FOLDER = Path(__file__).parent
OPTIONS = {"quality": 90, "chroma": 444}


def draw() -> None:
    for orientation in range(1, 9):
        file = pillow_heif.from_pillow(stored(scene(), orientation))
        file.save(FOLDER / f"orientation_{orientation}.heic", exif=exif(orientation=orientation), **OPTIONS)
    pillow_heif.from_pillow(see_through()).save(FOLDER / "see_through.heic", **OPTIONS)
    deep = np.asarray(scene()).astype(np.uint16) * 257
    pillow_heif.from_bytes("RGB;16", scene().size, deep.tobytes()).save(FOLDER / "ten_bits.heic", **OPTIONS)
    two = pillow_heif.from_pillow(scene())
    two.add_from_pillow(Image.new("RGB", (120, 80), "black"))
    two.save(FOLDER / "two_pictures.heic", **OPTIONS)


if __name__ == "__main__":
    draw()
