"""The memory that the largest accepted pictures need, and that the first refused ones do not.

Each runs in a new process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from image_processor.picture.formats import FORMATS as FORMAT_TYPES
from image_processor.picture.formats.webp import ANIMATED_BYTES_PER_PIXEL
from tests import pictures
from tests.unit.processor.test_decode import bmp_with_alpha

ROOT = Path(__file__).parents[3]
MEBIBYTE = 1 << 20

# Decodes small files first, because libraries are loaded and caches filled only once. Then prints the additional
# memory and the time that the requested file needs. Only Linux can reset the peak memory.
CHILD = """
import json, sys, time
from pathlib import Path
from image_core.errors import ImageError
from image_core.renditions import DEFAULT, parse
from image_processor.picture.decode import decode
from image_processor.picture.thumbnails import render
from tests import pictures
from tests.metering import Meter

def work(body):
    decoded = decode(body, max_pixels=int(sys.argv[2]), largest_side=1280)
    render(decoded, parse(DEFAULT))
    decoded.for_captioning(384)
    return [decoded.width, decoded.height]

for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):
    work(pictures.encode(pictures.scene(), kind))
work(pictures.heic())
body = Path(sys.argv[1]).read_bytes()
meter, started = Meter(), time.perf_counter()
try:
    outcome = work(body)
except ImageError as error:
    outcome = error.code
seconds = time.perf_counter() - started
print(json.dumps({"outcome": outcome, "bytes": meter.peak_bytes(), "seconds": seconds}))
"""

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux tells the highest memory since a moment"
)


def measured(body: bytes, folder: Path, max_pixels: int) -> dict[str, object]:
    path = folder / "picture"
    path.write_bytes(body)
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(max_pixels)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
    )
    result: dict[str, object] = json.loads(ran.stdout)
    return result


def gradient(width: int, height: int, mode: str = "RGB") -> Image.Image:
    picture = Image.radial_gradient("L").resize((width, height))
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    if mode == "RGBA":
        picture = picture.convert("RGBA")
        picture.putalpha(Image.linear_gradient("L").resize((width, height)))
        return picture
    return picture.convert(mode)


def animation(width: int, height: int) -> bytes:
    """Build a WebP whose first frame leaves most of the canvas empty, so that Pillow decodes it."""
    first, second = (Image.new("RGBA", (width, height)) for _ in range(2))
    first.paste("red", (10, 10, 20, 20))
    second.paste("red", (30, 30, 40, 40))
    return pictures.encode(first, "WEBP", save_all=True, append_images=[second], method=0)


FILES: dict[str, Callable[[int, int], bytes]] = {
    "baseline JPEG": lambda w, h: pictures.encode(gradient(w, h), "JPEG"),
    "progressive JPEG": lambda w, h: pictures.encode(gradient(w, h), "JPEG", progressive=True, subsampling=0),
    "progressive CMYK JPEG": lambda w, h: pictures.encode(gradient(w, h, "CMYK"), "JPEG", progressive=True),
    "progressive CMYK JPEG without its end marker": lambda w, h: pictures.encode(
        gradient(w, h, "CMYK"), "JPEG", progressive=True
    )[:-2],
    "PNG": lambda w, h: pictures.encode(gradient(w, h), "PNG", compress_level=1),
    "RGBA PNG": lambda w, h: pictures.encode(gradient(w, h, "RGBA"), "PNG", compress_level=1),
    "16-bit PNG": lambda w, h: pictures.encode(gradient(w, h, "I;16"), "PNG", compress_level=1),
    "WebP": lambda w, h: pictures.encode(gradient(w, h), "WEBP", method=0),
    "RGBA WebP": lambda w, h: pictures.encode(gradient(w, h, "RGBA"), "WEBP", method=0),
    "flat lossless WebP": lambda w, h: pictures.encode(Image.new("RGB", (w, h)), "WEBP", lossless=True, method=0),
    "animated WebP": animation,
    "TIFF": lambda w, h: pictures.encode(gradient(w, h), "TIFF", compression="tiff_deflate"),
    "turned TIFF": lambda w, h: pictures.encode(
        gradient(h, w), "TIFF", compression="tiff_deflate", tiffinfo={ExifTags.Base.Orientation: 6}
    ),
    "TIFF of one strip": lambda w, h: pictures.encode(
        gradient(w, h, "RGBA"), "TIFF", compression="tiff_deflate", strip_size=2**31 - 1
    ),
    "GIF": lambda w, h: pictures.encode(gradient(w, h, "P"), "GIF"),
    "BMP": lambda w, h: bmp_with_alpha(gradient(w, h, "RGBA")),
    "BMP without visible pixels": lambda w, h: bmp_with_alpha(Image.new("RGBA", (w, h), (200, 0, 0, 0))),
    "AVIF": lambda w, h: pictures.encode(gradient(w, h, "RGBA"), "AVIF", speed=10),
}


def bytes_per_pixel(name: str) -> float:
    if name.startswith("animated WebP"):
        return ANIMATED_BYTES_PER_PIXEL
    return next(one.bytes_per_pixel for one in FORMAT_TYPES.values() if one.name.upper() in name.upper().split())


RENDITIONS_BYTES = 64 * MEBIBYTE
"""The reduced picture, which can have 3,840 pixels across or a panorama's length, and its renditions."""


@pytest.mark.parametrize("name", [name for name in FILES if name != "AVIF"])
def test_a_picture_needs_no_more_memory_than_allowed_for_its_pixels(name: str, tmp_path: Path) -> None:
    width, height = 4000, 3000

    result = measured(FILES[name](width, height), tmp_path, width * height)

    assert sorted(result["outcome"]) == [height, width]  # type: ignore[type-var, arg-type]
    assert result["bytes"] <= width * height * bytes_per_pixel(name) + RENDITIONS_BYTES  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (65_500, 1_526), (16_383, 6_103)])
def test_the_largest_accepted_picture_needs_the_known_memory_of_its_format(
    name: str, width: int, height: int, tmp_path: Path
) -> None:
    if width > 16_383 and "WebP" in name:
        pytest.skip("no WebP is wider than 16,383 pixels")
    if width > 16_384 and name == "AVIF":
        pytest.skip("its encoder takes no picture of this width")

    result = measured(FILES[name](width, height), tmp_path, 100_000_000)

    print(f"\n{name} {width} × {height}: {result['bytes'] / 1e6:,.0f} MB, {result['seconds']:.1f} s")  # type: ignore[operator]
    assert sorted(result["outcome"]) == sorted((height, width))  # type: ignore[type-var, arg-type]
    assert result["bytes"] <= 100_000_000 * bytes_per_pixel(name) + RENDITIONS_BYTES  # type: ignore[operator]


@pytest.mark.parametrize(
    "name", ["baseline JPEG", "progressive JPEG", "PNG", "WebP", "animated WebP", "TIFF", "GIF"]
)
def test_the_first_picture_beyond_the_limit_is_refused_from_its_header(name: str, tmp_path: Path) -> None:
    width, height = 4096, 3072

    result = measured(FILES[name](width, height), tmp_path, width * height - 1)

    assert result["outcome"] == "too_many_pixels"
    assert result["bytes"] < 4 * MEBIBYTE  # type: ignore[operator]
    assert result["seconds"] < 0.5, "at most 0.05 on an idle machine"  # type: ignore[operator]
