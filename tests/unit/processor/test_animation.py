"""Animations that begin with invisible frames."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from image_processor.picture.decode import decode
from image_processor.picture.decoded import Decoded
from image_processor.picture.formats import animation
from tests import pictures

KINDS = ["GIF", "WEBP", "PNG"]


def animated(kind: str, *frames: Image.Image) -> bytes:
    options: dict[str, Any] = {"WEBP": {"lossless": True, "exact": True}, "GIF": {"disposal": 2}}.get(kind, {})
    return pictures.encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)


def late(kind: str, blank: int, size: tuple[int, int] = (120, 80)) -> bytes:
    """Build an animation with so many invisible frames before the scene, whose right half is transparent."""
    if kind == "GIF":  # Pillow merges equal frames of GIFs
        return gif_of(blank, size)
    # Each in a color of its own, so that encoders do not merge them.
    frames = [Image.new("RGBA", size, (number, 0, 0, 0)) for number in range(blank)]
    return animated(kind, *frames, pictures.see_through(*size), Image.new("RGBA", size, "black"))


def gif_of(blank: int, size: tuple[int, int]) -> bytes:
    nothing = pictures.encode(Image.new("P", size), "GIF", transparency=0)
    scene = pictures.encode(pictures.see_through(*size), "GIF")
    start = nothing.index(b"\x21\xf9")
    palette = scene[13 : 13 + (3 << (scene[10] & 7) + 1)]
    at = scene.index(b"\x21\xf9")
    picture = scene.index(b",", at)
    with_palette = scene[at : picture + 9] + bytes([0x80 | scene[10] & 7]) + palette + scene[picture + 10 :]
    return nothing[:start] + nothing[start:-1] * blank + with_palette


def decoded(data: bytes, **options: int) -> Decoded:
    return decode(data, **{"max_pixels": 20_000_000, "largest_side": 300, **options})


def shows_the_scene(result: Decoded) -> bool:
    if result.stored.mode != "RGBA":
        return False
    (red, green, blue, _), (*_, hidden) = result.stored.getpixel((10, 10)), result.stored.getpixel((110, 10))  # type: ignore[misc]
    return bool(hidden == 0 and max(abs(a - b) for a, b in zip((red, green, blue), pictures.RED, strict=True)) < 12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [1, 3, animation.MAX_FRAMES - 1])
def test_the_first_visible_frame_is_shown(kind: str, blank: int) -> None:
    data = late(kind, blank)

    result = decoded(data)

    assert (result.width, result.height, result.alpha) == (120, 80, True)
    assert result.frames > blank
    assert shows_the_scene(result)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_frame_is_shown_if_the_next_nine_are_invisible_too(kind: str) -> None:
    result = decoded(late(kind, animation.MAX_FRAMES))

    assert result.stored.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_behind_an_invisible_frame_does_not_fail_the_image(kind: str) -> None:
    data = late(kind, 1)
    second = data.rfind(b"VP8L", 0, data.rfind(b"ANMF")) + 13

    damaged = {
        "GIF": data[:-200] + b"\xff" * 200,
        "WEBP": data[:second] + b"\xff" * 10 + data[second + 10 :],
        "PNG": data.replace(b"fdAT\0\0\0\2", b"fdAT\0\0\0\7"),
    }[kind]

    assert damaged != data
    assert (decoded(damaged).width, decoded(damaged).height) == (120, 80)


def test_a_later_frame_cannot_enlarge_the_picture() -> None:
    data = late("GIF", 1)
    second = data.rindex(b"\x2c\0\0\0\0\x78\0\x50\0")

    result = decoded(data[: second + 5] + struct.pack("<HH", 3000, 3000) + data[second + 9 :])

    assert (result.width, result.height) == (120, 80)
    assert result.stored.size == (120, 80)
    assert result.stored.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "searched"), [(2000, True), (2001, False)])
def test_further_frames_are_decoded_only_up_to_four_megapixels(kind: str, height: int, searched: bool) -> None:
    result = decoded(late(kind, 1, (2000, height)))

    assert result.stored.getchannel("A").getextrema() == (0, 255 if searched else 0)
