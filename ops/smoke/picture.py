"""The picture that the smoke test uploads, and what its thumbnails must look like."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, UnidentifiedImageError

WIDTH, HEIGHT = 640, 480
"""Size of the upright picture. The file stores it rotated by 90°, with an EXIF orientation."""
_SKY, _GRASS, _SUN = (110, 170, 250), (40, 140, 60), (220, 40, 40)
_ORIENTATION_TAG, _ROTATED = 0x0112, 6


def picture(token: str) -> bytes:
    """A JPEG of a red circle between sky and grass. Each `token` gives different bytes for the same picture."""
    upright = Image.new("RGB", (WIDTH, HEIGHT), _SKY)
    draw = ImageDraw.Draw(upright)
    draw.rectangle((0, HEIGHT // 2, WIDTH, HEIGHT), fill=_GRASS)
    draw.ellipse((220, 140, 420, 340), fill=_SUN)
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = _ROTATED
    body = io.BytesIO()
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(body, "JPEG", quality=90, exif=exif, comment=token.encode())
    return body.getvalue()


def thumbnail_error(body: bytes, pixels: int | None) -> str | None:
    """Return what is wrong with a thumbnail of the picture, or None.

    `pixels` is the side of the square that it must fit into, None if that is not known.
    """
    try:
        picture = Image.open(io.BytesIO(body)).convert("RGB")
    except (UnidentifiedImageError, OSError):
        start = body[:16]
        return f"it is not an image: it begins with {start!r}" + (" (base64?)" if _is_ascii(body) else "")
    width, height = picture.size
    if pixels is not None and max(width, height) != min(pixels, WIDTH):
        return f"it is {width} × {height}, and must fit into {pixels} × {pixels}"
    if abs(width * HEIGHT / WIDTH - height) > 1:
        return f"it is {width} × {height}, which is not the aspect ratio of the upright picture"
    top, bottom = _pixel(picture, height // 10), _pixel(picture, height - 1 - height // 10)
    if not (top[2] > top[0] + 60 and bottom[1] > bottom[0] + 40):
        return f"sky and grass are not at top and bottom: {top}, {bottom}"
    return None


def _pixel(picture: Image.Image, y: int) -> tuple[int, int, int]:
    red, green, blue = picture.getpixel((picture.width // 2, y))  # type: ignore[misc]
    return int(red), int(green), int(blue)


def _is_ascii(body: bytes) -> bool:
    return body[:1000].isascii()
