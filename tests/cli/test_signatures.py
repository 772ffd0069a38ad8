"""imgpipe and the API detect the same format from a file's first bytes, although each has its own table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from string import ascii_lowercase, digits

import pytest

from image_core.formats import NAMES, SNIFFED_BYTES, identify
from imgpipe.signatures import HEAD_BYTES, media_type
from tests.pictures import animated, encode, heic, jpeg, mpo, png, scene

PICTURES = [
    jpeg(),
    mpo(),
    png(),
    animated("gif"),
    *(encode(scene(), kind) for kind in ("webp", "tiff", "bmp", "avif")),
    heic(),
]
OTHERS = [b"", b"BM is a text", b"RIFF____WAVE", b"%PDF-1.7", b"<svg/>", b"GIF88a", b"MM\0*", b"II+\0"]


def file_type_box(*brands: bytes) -> bytes:
    """Build the first box of an ISO base media file: its brand, then the compatible brands."""
    major, *compatible = brands
    return (16 + 4 * len(compatible)).to_bytes(4, "big") + b"ftyp" + major + bytes(4) + b"".join(compatible)


BOXES = [
    file_type_box(*brands)
    for brands in product((b"mif1", b"heic", b"avif", b"isom"), (b"msf1", b"avis", b"hevc"), (b"heic", b"avif"))
]


def changed_in_one_byte(head: bytes) -> Iterator[bytes]:
    """Yield `head` with each of its first 32 bytes replaced by every other value."""
    for at, value in product(range(min(len(head), 32)), range(256)):
        yield head[:at] + bytes([value]) + head[at + 1 :]


def same(head: bytes) -> bool:
    found = identify(head)
    return media_type(head) == (f"image/{found}" if found else None)


def test_the_heads_below_cover_every_supported_format() -> None:
    assert {identify(head) for head in PICTURES} == set(NAMES)
    assert HEAD_BYTES == SNIFFED_BYTES


@pytest.mark.parametrize("head", [head[:HEAD_BYTES] for head in PICTURES + OTHERS + BOXES])
def test_heads_and_all_variants_with_one_different_byte_give_the_same_format(head: bytes) -> None:
    assert same(head)
    assert [changed[:32] for changed in changed_in_one_byte(head) if not same(changed)] == []
    assert [size for size in range(len(head)) if not same(head[:size])] == []


def test_every_brand_of_four_characters_gives_the_same_format() -> None:
    letters = ascii_lowercase.encode()
    brands = (bytes(brand) for brand in product(letters, letters, letters, letters + digits.encode()))
    assert [brand for brand in brands if not same(file_type_box(brand))] == []


def test_every_header_size_of_a_bitmap_gives_the_same_format() -> None:
    assert [size for size in range(200) if not same(b"BM" + bytes(12) + size.to_bytes(4, "little"))] == []
