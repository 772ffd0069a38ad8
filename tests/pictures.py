"""Draw pictures, as the bytes of image files.

The scene has four fields of different colors, so that the pixels in its corners show whether a picture is rotated,
mirrored or has wrong colors.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageDraw

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (20, 170, 60), (30, 60, 210), (240, 220, 40)
CORNERS = {"top left": RED, "top right": GREEN, "bottom left": BLUE, "bottom right": YELLOW}

TEXT = b"Dear all,\n\nthis is not a picture, whatever its name may end in.\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="5"/></svg>'
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"

# Transforms the upright scene into what a camera held that way stores.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(width: int = 120, height: int = 80, *, mode: str = "RGB") -> Image.Image:
    """Draw four fields: red and green above blue and yellow."""
    picture = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(picture)
    right, below = width // 2, height // 2
    draw.rectangle((right, 0, width, height), fill=GREEN)
    draw.rectangle((0, below, width, height), fill=BLUE)
    draw.rectangle((right, below, width, height), fill=YELLOW)
    return picture if mode == "RGB" else picture.convert(mode)


def see_through(width: int = 120, height: int = 80) -> Image.Image:
    """Draw the scene in RGBA, with its right half fully transparent."""
    picture = scene(width, height, mode="RGBA")
    picture.paste((0, 0, 0, 0), (width // 2, 0, width, height))
    return picture


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """Draw random noise in RGB. It compresses badly, so its files are large."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encode(picture: Image.Image, kind: str, *, orientation: int | None = None, **options: Any) -> bytes:
    """Encode `picture` in Pillow's format `kind`, stored so that `orientation` makes it upright."""
    if orientation is not None:
        picture = stored(picture, orientation)
        options["exif"] = exif(orientation=orientation)
    body = BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Return `picture` as it is stored in a file whose `orientation` makes it upright."""
    return picture.transpose(_STORED[orientation]) if orientation in _STORED else picture


def heic(name: str = "orientation_1") -> bytes:
    """Return a file drawn by `tests/heic/draw.py`: the scene, 120 × 80, in the variant `name`."""
    return (Path(__file__).parent / "heic" / f"{name}.heic").read_bytes()


def jpeg(width: int = 120, height: int = 80, *, mode: str = "RGB", **options: Any) -> bytes:
    return encode(scene(width, height, mode=mode), "JPEG", **{"quality": 92, **options})


def png(width: int = 120, height: int = 80, *, mode: str = "RGB", **options: Any) -> bytes:
    return encode(scene(width, height, mode=mode), "PNG", **options)


def gray16_png(width: int = 64, height: int = 4) -> bytes:
    """Draw 16-bit gray, from black on the left to white on the right."""
    ramp = np.linspace(0, 65535, width).astype(np.uint16)
    return encode(Image.fromarray(np.tile(ramp, (height, 1))), "PNG")


def float_tiff(low: float, high: float, width: int = 64, height: int = 4) -> bytes:
    """Draw 32-bit floating point gray, from `low` on the left to `high` on the right."""
    ramp = np.linspace(low, high, width).astype(np.float32)
    return encode(Image.fromarray(np.tile(ramp, (height, 1))), "TIFF")


def mpo(width: int = 120, height: int = 80) -> bytes:
    """Build two JPEGs in one file, as stereo cameras and phones write them. The first is the scene."""
    second = Image.new("RGB", (width, height), "black")
    return encode(scene(width, height), "MPO", save_all=True, append_images=[second])


def animated(kind: str, width: int = 60, height: int = 40) -> bytes:
    """Build an animation whose first frame is the scene."""
    frames = [Image.new("RGB", (width, height), color) for color in ("black", "white")]
    return encode(scene(width, height), kind, save_all=True, append_images=frames, duration=100)


def palette_png(*, transparency: int | bytes | None = None) -> bytes:
    """Draw the scene with a palette of four colors: 0 red, 1 green, 2 blue, 3 yellow."""
    indexes = np.zeros((80, 120), np.uint8)
    indexes[:40, 60:], indexes[40:, :60], indexes[40:, 60:] = 1, 2, 3
    picture = Image.fromarray(indexes)
    picture.putpalette([value for color in (RED, GREEN, BLUE, YELLOW) for value in color])
    options: dict[str, Any] = {} if transparency is None else {"transparency": transparency}
    return encode(picture, "PNG", **options)


def raw_png(width: int, height: int, *, depth: int, color: int, rows: bytes, **chunks: bytes) -> bytes:
    """Build a PNG of any depth and color type from packed rows of samples. `chunks` come before the pixels."""
    stride = len(rows) // height if height else 0
    lines = b"".join(b"\0" + rows[at : at + stride] for at in range(0, len(rows), stride or 1))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [("IHDR", header), *chunks.items(), ("IDAT", zlib.compress(lines)), ("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name.encode(), body) for name, body in parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def swapped_profile() -> bytes:
    """Return a valid ICC profile with red and blue exchanged, so that its effect is obvious."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    # Change its name too, which tells that it is not sRGB: UTF-16 in `desc`.
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def exif(
    *,
    orientation: object = None,
    main: Mapping[int, Any] | None = None,
    details: Mapping[int, Any] | None = None,
    gps: Mapping[int, Any] | None = None,
) -> bytes:
    """Build an EXIF block. `main` are tags of the first directory, `details` of the Exif directory."""
    block = Image.Exif()
    for tag, value in (main or {}).items():
        block[tag] = value
    if orientation is not None:
        block[ExifTags.Base.Orientation] = orientation
    block.get_ifd(ExifTags.IFD.Exif).update(details or {})
    block.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    return block.tobytes()


def gps_tags(
    latitude: tuple[float, float, float] = (52, 30, 36),
    longitude: tuple[float, float, float] = (13, 22, 12),
    *,
    north: bool = True,
    east: bool = True,
    altitude: float | None = None,
) -> dict[int, Any]:
    """Build the GPS directory of a place given in degrees, minutes and seconds."""
    tags: dict[int, Any] = {
        ExifTags.GPS.GPSLatitudeRef: "N" if north else "S",
        ExifTags.GPS.GPSLatitude: latitude,
        ExifTags.GPS.GPSLongitudeRef: "E" if east else "W",
        ExifTags.GPS.GPSLongitude: longitude,
    }
    if altitude is not None:
        tags[ExifTags.GPS.GPSAltitudeRef] = b"\x01" if altitude < 0 else b"\x00"
        tags[ExifTags.GPS.GPSAltitude] = abs(altitude)
    return tags


def cut(data: bytes, keep: float = 0.5) -> bytes:
    """Return the first part of a file."""
    return data[: int(len(data) * keep)]


def corners(picture: Image.Image) -> dict[str, tuple[int, int, int]]:
    """Return the colors well inside the four fields of a picture of the scene."""
    width, height = picture.size
    rgb = picture.convert("RGB")
    left, right, top, bottom = width // 5, width - 1 - width // 5, height // 5, height - 1 - height // 5
    places = {
        "top left": (left, top),
        "top right": (right, top),
        "bottom left": (left, bottom),
        "bottom right": (right, bottom),
    }
    return {name: _color(rgb, place) for name, place in places.items()}


def _color(picture: Image.Image, place: tuple[int, int]) -> tuple[int, int, int]:
    value = picture.getpixel(place)
    assert isinstance(value, tuple)
    red, green, blue = value
    return int(red), int(green), int(blue)


def same_scene(picture: Image.Image, tolerance: int = 12) -> bool:
    """Return whether `picture` shows the scene upright and in its colors."""
    actual = corners(picture)
    return all(
        abs(value - expected) <= tolerance
        for name, color in CORNERS.items()
        for value, expected in zip(actual[name], color, strict=True)
    )
