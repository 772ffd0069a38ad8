"""The drawn files from which mutations start: every format, and every way of storing pixels in it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import heif_files, pictures
from tests.fuzz import png_chunks

HEIC = Path(__file__).parents[1] / "heic"

FORMATS = ("jpeg", "png", "webp", "gif", "avif", "heic", "tiff", "bmp")


@cache
def corpus() -> dict[str, list[bytes]]:
    """Return files by format. They are small, so that many can be mutated in a second."""
    exif = pictures.exif(
        orientation=6, main={0x010F: "Acme", 0x0132: "2026:07:01 10:20:30"}, gps=pictures.gps_tags()
    )
    metadata: dict[str, Any] = {"exif": exif, "icc_profile": pictures.swapped_profile()}
    picture, alpha = _picture(), pictures.see_through(61, 47)
    encode = pictures.encode
    found = {
        "jpeg": [
            encode(picture, "JPEG", quality=80, **metadata),
            encode(picture, "JPEG", quality=80, progressive=True),
            encode(picture, "JPEG", quality=80, restart_marker_blocks=3, comment=b"a comment"),
            encode(picture, "JPEG", quality=60, subsampling="4:4:4", dpi=(300, 300)),
            encode(picture.convert("L"), "JPEG"),
            encode(picture.convert("CMYK"), "JPEG", **metadata),
            pictures.mpo(61, 47),
            encode(picture.resize((1700, 800)), "JPEG", quality=20),
            encode(picture, "JPEG", restart_marker_blocks=2)[:-2],
            encode(picture, "JPEG", progressive=True)[:-2],
        ],
        "png": [
            encode(picture, "PNG", **metadata),
            encode(alpha, "PNG"),
            encode(picture.quantize(16), "PNG", transparency=b"\xff\x00\x80"),
            encode(picture.convert("1"), "PNG"),
            encode(picture.convert("LA"), "PNG"),
            pictures.gray16_png(),
            pictures.raw_png(4, 2, depth=16, color=2, rows=bytes(range(48)), tRNS=b"\0\1\2\3\4\5"),
            pictures.raw_png(9, 3, depth=4, color=0, rows=bytes(range(15)), tRNS=b"\0\5"),
            pictures.animated("PNG"),
            png_chunks.interlaced(),
            _late("PNG"),
            encode(picture, "PNG", **metadata)[:-12],
            pictures.raw_png(4, 2, depth=8, color=2, rows=bytes(24), cICP=b"\x09\x10\0\1"),
        ],
        "webp": [
            encode(picture, "WEBP", **metadata),
            encode(picture, "WEBP", lossless=True),
            encode(alpha, "WEBP", exif=exif),
            encode(alpha, "WEBP", lossless=True),
            pictures.animated("WEBP"),
            encode(picture.resize((1700, 800)), "WEBP", quality=10),
            _late("WEBP", lossless=True, exact=True),
        ],
        "gif": [
            encode(picture.quantize(32), "GIF"),
            encode(alpha, "GIF", comment=b"a comment"),
            encode(picture.quantize(8), "GIF", interlace=True),
            pictures.animated("GIF"),
            _late("GIF", disposal=2),
        ],
        "avif": [
            encode(picture, "AVIF", speed=10, **metadata),
            encode(alpha, "AVIF", speed=10),
            encode(picture, "AVIF", speed=10, subsampling="4:4:4", quality=100),
            pictures.animated("AVIF"),
            heif_files.heif(_with_more_properties(heif_files.av1(64, 48).item(64, 48))),
        ],
        "heic": [path.read_bytes() for path in sorted(HEIC.glob("*.heic"))],
        "tiff": [
            encode(picture, "TIFF", **metadata),
            *(
                encode(picture, "TIFF", compression=how)
                for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
            ),
            encode(picture.convert("1"), "TIFF", compression="group4"),
            encode(picture.convert("1"), "TIFF", compression="group3"),
            encode(picture.convert("LAB"), "TIFF"),
            encode(picture.convert("CMYK"), "TIFF"),
            encode(picture.quantize(16), "TIFF"),
            encode(alpha, "TIFF"),
            pictures.float_tiff(-3, 70),
            encode(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100), "TIFF", big_tiff=True),
            pictures.animated("TIFF"),
        ],
        "bmp": [
            encode(picture, "BMP"),
            encode(picture.quantize(16), "BMP"),
            encode(picture.convert("1"), "BMP"),
            encode(alpha, "BMP"),
            run_length_bmp(),
            encode(Image.new("RGBA", (9, 5)), "BMP"),
        ],
    }
    assert set(found) == set(FORMATS)
    return found


def _picture() -> Image.Image:
    """Draw a picture with colors, edges and some noise, so that decoders use all of their code."""
    picture = pictures.scene(61, 47)
    noise = pictures.noise(61, 47).resize((61, 47))
    return Image.blend(picture, noise, 0.2)


def _late(kind: str, **options: Any) -> bytes:
    """Build an animation that begins with an invisible frame."""
    frames = [Image.new("RGBA", (61, 47)), pictures.see_through(61, 47), pictures.scene(61, 47, mode="RGBA")]
    return pictures.encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def _with_more_properties(item: heif_files.Item) -> heif_files.Item:
    """Return the item with a clean aperture, HDR colors and a rotation."""
    colors = heif_files.box(b"colr", b"nclx\0\x09\0\x10\0\x09\x80")
    aperture, rotation = heif_files.clap(30, 20, right=4, below=-6), heif_files.box(b"irot", b"\1")
    return replace(item, properties=(*item.properties, colors, aperture, rotation))


def run_length_bmp() -> bytes:
    """Build an RLE8 bitmap of 8 × 4 pixels in two colors."""
    coded = b"".join(b"\4\0\4\1\0\0" for _ in range(4)) + b"\0\1"
    palette = bytes((220, 30, 30, 0, 20, 170, 60, 0))
    size = 14 + 40 + len(palette) + len(coded)
    header = b"BM" + size.to_bytes(4, "little") + bytes(4) + (14 + 40 + len(palette)).to_bytes(4, "little")
    numbers = [(40, 4), (8, 4), (4, 4), (1, 2), (8, 2), (1, 4), (len(coded), 4), (0, 4), (0, 4), (2, 4), (0, 4)]
    return header + b"".join(number.to_bytes(length, "little") for number, length in numbers) + palette + coded
