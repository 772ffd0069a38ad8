"""The files for `bench.images`, which are drawn once from a seed and kept in .bench/photographs.

The cost of a decoder depends on the number of bits in the picture, so these have the statistics of photographs:
amplitudes that fall with frequency, matching colors, a few hard edges, and grain. A JPEG of 12 megapixels has 4 MB,
as from a camera.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

FOLDER = Path(".bench/photographs")
VERSION = 1
"""Version of the drawing. Another number draws the files again."""

SLOPE = 1.25
"""Amplitude falls with frequency to this power. Photographs have 1 to 1.3."""
EDGES = 60
GRAIN = 4.0
"""Standard deviation, of 255."""


@dataclass(frozen=True)
class Photograph:
    """A file for measurements. `turned`: stored sideways, with Display P3's primaries, as phones do."""

    name: str
    title: str
    width: int
    height: int
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    transparent: bool = False
    turned: bool = False

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}-{VERSION}.{self.kind.lower()}"

    def draw(self) -> Path:
        """Return the file. It is drawn if it does not exist yet."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            partial.write_bytes(self._encoded())
            partial.replace(self.path)
        return self.path

    def small(self) -> bytes:
        """The same kind of file with 64 × 48 pixels, with which a process loads its libraries."""
        picture = Image.new("RGBA" if self.transparent else "RGB", (64, 48), "gray")
        return _encode(picture, self)

    def _encoded(self) -> bytes:
        return _encode(scene(self.width, self.height, transparent=self.transparent), self)


def _encode(picture: Image.Image, how: Photograph) -> bytes:
    options = dict(how.options)
    if "compression" not in options:  # Pillow cannot write EXIF into a compressed TIFF
        options["exif"] = _exif(6 if how.turned else 1)
    if how.turned:
        options["icc_profile"] = _wide_profile()
    body = BytesIO()
    picture.save(body, how.kind, **options)
    return body.getvalue()


PHOTOGRAPHS = (
    Photograph("12mp-jpeg", "JPEG 12 MP", 4000, 3000, "JPEG", {"quality": 87}),
    Photograph(
        "12mp-jpeg-phone", "JPEG 12 MP, turned, wide gamut", 4032, 3024, "JPEG", {"quality": 87}, turned=True
    ),
    Photograph("24mp-jpeg", "JPEG 24 MP", 6000, 4000, "JPEG", {"quality": 87}),
    Photograph(
        "48mp-progressive", "JPEG 48 MP, progressive", 8000, 6000, "JPEG", {"quality": 85, "progressive": True}
    ),
    Photograph("12mp-png", "PNG 12 MP", 4000, 3000, "PNG"),
    Photograph("12mp-rgba-png", "PNG 12 MP, alpha", 4000, 3000, "PNG", transparent=True),
    Photograph("12mp-webp", "WebP 12 MP", 4000, 3000, "WEBP", {"quality": 80, "method": 2}),
    Photograph("12mp-avif", "AVIF 12 MP", 4000, 3000, "AVIF", {"quality": 65, "speed": 9}),
    Photograph("12mp-tiff", "TIFF 12 MP, LZW", 4000, 3000, "TIFF", {"compression": "tiff_lzw"}),
    Photograph("2mp-jpeg", "JPEG 1920 × 1080", 1920, 1080, "JPEG", {"quality": 87}),
    Photograph("640-jpeg", "JPEG 640 × 480", 640, 480, "JPEG", {"quality": 87}),
    Photograph("640-png", "PNG 640 × 480", 640, 480, "PNG"),
    Photograph("640-rgba-png", "PNG 640 × 480, alpha", 640, 480, "PNG", transparent=True),
    Photograph("640-webp", "WebP 640 × 480", 640, 480, "WEBP", {"quality": 80}),
    Photograph("128-png", "PNG 128 × 128", 128, 128, "PNG"),
)


def scene(width: int, height: int, *, transparent: bool) -> Image.Image:
    random = np.random.default_rng(width * 10_007 + height)
    # The detail is in the lightness. Color is a separate, weaker and softer noise.
    light = _noise(random, width, height)
    planes = []
    edges = _fields(random, width, height)
    for channel, strength in enumerate((0.35, 0.2, 0.45)):
        tint = _noise(random, width // 4, height // 4)
        soft = Image.fromarray(tint).resize((width, height), Image.Resampling.BICUBIC)
        plane = 122 + 46 * light + 46 * strength * np.asarray(soft) + edges[..., channel]
        plane += random.standard_normal((height, width), dtype=np.float32) * np.float32(GRAIN)
        planes.append(np.clip(np.rint(plane), 0, 255).astype(np.uint8))
    if transparent:
        planes.append(_hole(width, height))
    return Image.fromarray(np.stack(planes, axis=-1))


def _noise(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Noise with amplitudes that fall with frequency, mean 0 and standard deviation 1."""
    down = np.fft.fftfreq(height).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(width).astype(np.float32)[None, :]
    frequency = np.hypot(down, across)
    frequency[0, 0] = 1
    phases = random.random(frequency.shape, dtype=np.float32) * np.float32(2 * np.pi)
    spectrum = np.exp(1j * phases).astype(np.complex64) * frequency ** np.float32(-SLOPE)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    scaled: NDArray[np.float32] = noise / noise.std()
    return scaled


def _fields(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """The hard edges of a picture: overlapping discs and half-planes, each of which adds a color."""
    fields = np.zeros((height, width, 3), np.float32)
    down, across = np.ogrid[0:height, 0:width]
    size = max(width, height)
    for _ in range(EDGES):
        color = random.normal(0, 14, 3).astype(np.float32)
        x, y = random.integers(0, width), random.integers(0, height)
        radius = int(size * random.uniform(0.02, 0.2))
        top, bottom, left, right = (
            max(0, y - radius),
            min(height, y + radius),
            max(0, x - radius),
            min(width, x + radius),
        )
        inside = (down[top:bottom] - y) ** 2 + (across[:, left:right] - x) ** 2 < radius**2
        fields[top:bottom, left:right][inside] += color
    return fields


def _hole(width: int, height: int) -> NDArray[np.uint8]:
    """An alpha channel: opaque, with a transparent disc with soft edges."""
    down, across = np.ogrid[0:height, 0:width]
    distance = np.hypot(down - height * 0.4, across - width * 0.6) / min(width, height)
    hole: NDArray[np.uint8] = np.clip((distance - 0.2) * 255 / 0.1, 0, 255).astype(np.uint8)
    return hole


def _wide_profile() -> bytes:
    """Display P3: the sRGB profile with P3's primaries (adapted to D50), under another name."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, primary in {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }.items():
        entry = profile.index(tag)  # of the table of tags: name, offset, length
        at = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        profile[at : at + 12] = struct.pack(">3i", *(round(value * 65536) for value in primary))
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "P3 D".encode("utf-16-be"))


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Make], block[ExifTags.Base.Model] = "Acme", "Snap 3"
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.DateTime] = "2026:07:01 10:20:30"
    details = block.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2026:07:01 10:20:30"
    details[ExifTags.Base.ExposureTime], details[ExifTags.Base.FNumber] = 1 / 125, 2.8
    details[ExifTags.Base.MakerNote] = bytes(range(256)) * 40
    position = block.get_ifd(ExifTags.IFD.GPSInfo)
    position[ExifTags.GPS.GPSLatitudeRef], position[ExifTags.GPS.GPSLatitude] = "N", (52.0, 30.0, 36.0)
    position[ExifTags.GPS.GPSLongitudeRef], position[ExifTags.GPS.GPSLongitude] = "E", (13.0, 22.0, 12.0)
    return block.tobytes()
