"""Convert the decoder's pixels to a small sRGB picture: reduce, convert, color profile, orientation.

Pictures are converted and reduced in strips, so that there is never a second picture of full size. Color profile
and orientation, which would visit each pixel a second time, are applied to the reduced picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

STRIP_PIXELS = 1 << 18
"""About this many pixels are converted at a time: 1 MiB of RGBA."""

THREADED_PIXELS = 500_000
"""Below this, a second thread costs more than it saves."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def reduced(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Return `image` in mode L, RGB, RGBA or CMYK, averaged over blocks of `factors` (x, y) pixels.

    Its size is that of the loaded `image` divided by the factors, rounded up. Transparency of any kind becomes
    RGBA. More than 8 bits per sample are scaled to 8, not clipped.
    """
    transparent = "transparency" in image.info
    if image.mode in ("L", "RGB", "CMYK") and not transparent:
        image.load()
        return image if factors == (1, 1) else image.reduce(factors)
    convert, mode = _converter(image, transparent)
    width, height = image.size
    x, y = factors
    result = Image.new(mode, (-(-width // x), -(-height // y)), None)
    for top, strip in strips(image, y):
        part = convert(strip)
        result.paste(part if factors == (1, 1) else part.reduce(factors), (0, top // y))
    return result


def strips(image: Image.Image, multiple: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield (top, strip) pairs over the full width. Each but the last has a multiple of `multiple` rows."""
    width, height = image.size
    rows = multiple * max(1, STRIP_PIXELS // (width * multiple))
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def is_invisible(image: Image.Image) -> bool:
    """Return whether every pixel of a loaded picture is fully transparent."""
    if image.mode not in ("L", "LA", "P", "PA", "RGBA") or not image.has_transparency_data:
        return False
    return not any(strip.convert("RGBA").getchannel("A").getbbox() for _, strip in strips(image, 1))


def _converter(image: Image.Image, transparent: bool) -> tuple[Callable[[Image.Image], Image.Image], str]:
    """Return a function that converts a strip of `image` to an 8-bit mode that can be reduced, and that mode."""
    mode = image.mode
    if mode in _DEEP_MODES:
        low, high = _range(image)
        key = image.info.get("transparency")
        return (lambda strip: _eight_bits(strip, low, high, key)), "RGBA" if transparent else "L"
    if transparent:
        _fit_color_key(image)
    if mode in ("RGBA", "RGBa", "LA", "PA") or transparent:
        return (lambda strip: strip.convert("RGBA")), "RGBA"
    if mode == "La":  # Pillow converts it only to LA
        return (lambda strip: strip.convert("LA").convert("RGBA")), "RGBA"
    target = "L" if mode == "1" else "RGB"
    return (lambda strip: strip.convert(target)), target


def _fit_color_key(image: Image.Image) -> None:
    """Scale a 16-bit RGB color key to 8 bits, as Pillow did with the pixels."""
    key = image.info["transparency"]
    if isinstance(key, tuple) and max(key) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white in a picture with more than 8 bits per sample."""
    if image.mode.startswith("I;16"):
        bits = _tiff_bits(image)
        return 0.0, float(2**bits - 1)
    low, high = np.inf, -np.inf
    for _, strip in strips(image, 1):
        values = np.asarray(strip)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    # The file does not define white: use the usual scale that contains the values, else their range.
    for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 0.0, white
    return (low, high) if low < high else (0.0, 1.0)


def _tiff_bits(image: Image.Image) -> int:
    """Return the bits per sample: TIFF stores 12-bit scans in 16 bits."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(258, (16,))
    return 12 if bits in (12, (12,)) else 16


def _eight_bits(strip: Image.Image, low: float, high: float, key: object) -> Image.Image:
    values = np.asarray(strip)
    with np.errstate(all="ignore"):
        scaled = np.rint((values.astype(np.float64) - low) * (255.0 / (high - low)))
    # NaN is black; infinities are black and white.
    gray: npt.NDArray[np.uint8] = np.nan_to_num(np.clip(scaled, 0, 255), nan=0.0).astype(np.uint8)
    picture = Image.fromarray(gray)
    if not isinstance(key, int):
        return picture
    alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.merge("RGBA", (picture, picture, picture, alpha))


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `picture` (L, RGB, RGBA or CMYK) as sRGB in mode L, RGB or RGBA.

    A profile that is broken, or made for another kind of picture, is ignored. The pixels are then interpreted as
    sRGB, as in browsers.
    """
    if profile:
        picture = _through_profile(picture, profile)
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def without_idle_alpha(picture: Image.Image) -> Image.Image:
    """Return `picture`, in RGB if its alpha channel is opaque everywhere."""
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema()[0] == 255:
        return picture.convert("RGB")
    return picture


def _through_profile(picture: Image.Image, data: bytes) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        if (profile.profile.profile_description or "").startswith("sRGB"):
            return picture
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, profile, _srgb(), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture  # not a profile, or one for other channels
    if converted is None:  # only when done in place
        return picture
    return converted.convert("L") if picture.mode == "L" else converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def resized(
    picture: Image.Image,
    size: tuple[int, int],
    resample: Image.Resampling,
    box: tuple[float, float, float, float],
    reducing_gap: float | None,
) -> Image.Image:
    """Resize the part `box` of `picture` to `size` (width, height), like `Image.resize`.

    A large result is made in two halves at the same time. Pillow releases the lock of the interpreter.
    """
    width, height = size
    if width * height < THREADED_PIXELS:
        return picture.resize(size, resample, box=box, reducing_gap=reducing_gap)
    if picture.mode == "RGBA":  # else Pillow would convert the whole picture for each half
        return resized(picture.convert("RGBa"), size, resample, box, reducing_gap).convert("RGBA")
    left, top, right, bottom = box
    middle, cut = height // 2, top + (bottom - top) * (height // 2) / height
    upper = _threads().submit(
        picture.resize, (width, middle), resample, box=(left, top, right, cut), reducing_gap=reducing_gap
    )
    lower = picture.resize(
        (width, height - middle), resample, box=(left, cut, right, bottom), reducing_gap=reducing_gap
    )
    result = Image.new(picture.mode, size)
    result.paste(upper.result(), (0, 0))
    result.paste(lower, (0, middle))
    return result


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "resize")


def on_white(picture: Image.Image) -> Image.Image:
    """Return `picture`, in RGBA, as RGB on a white background."""
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return `picture`, rotated and mirrored according to the EXIF `orientation` (1 to 8)."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return picture if transposition is None else picture.transpose(transposition)
