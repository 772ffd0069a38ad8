"""The limit of pixels applies to a picture's coded size as well as to the size in its header."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from image_core.errors import TooManyPixels
from image_processor.picture.decode import decode
from image_processor.picture.formats import DecodeLimits, coded_size, isobmff
from tests import heif_files, pictures
from tests.fuzz.hostile import jpeg_of, tiff_of_jpeg

AV1, HEVC = heif_files.av1(64, 64), heif_files.hevc()


def refused(data: bytes, width: int, height: int) -> bool:
    """Return whether the file is refused with a limit one pixel below this size, and accepted at this size."""
    isobmff.check_coded_sizes(data, DecodeLimits(width * height, 1))
    try:
        isobmff.check_coded_sizes(data, DecodeLimits(width * height - 1, 1))
    except TooManyPixels:
        return True
    return False


@pytest.mark.parametrize(
    "data",
    [
        pictures.encode(pictures.scene(), "AVIF"),
        pictures.encode(pictures.see_through(), "AVIF"),
        pictures.animated("AVIF", 120, 80),
        pictures.heic(),
        pictures.heic("orientation_6"),
        pictures.heic("ten_bits"),
    ],
)
def test_the_coded_size_of_a_normal_file_is_the_size_in_its_header(data: bytes) -> None:
    assert refused(data, 120, 80)


def test_the_frames_of_a_sequence_without_items_count() -> None:
    data = pictures.animated("AVIF", 120, 80)

    assert refused(data.replace(b"meta", b"free"), 120, 80)


def test_an_avif_with_a_coded_size_above_its_announced_size_is_refused() -> None:
    assert refused(heif_files.heif(AV1.item(8, 8)), 64, 64)


def test_the_size_in_a_decoder_configuration_counts() -> None:
    huge = heif_files.av1_configuration(heif_files.sequence_header(20_000, 10_000))
    assert refused(heif_files.heif(replace(AV1, configuration=huge).item(8, 8)), 20_000, 10_000)

    huge = heif_files.hevc_configuration(16_384, 8_192)
    assert refused(heif_files.heif(replace(HEVC, configuration=huge).item(8, 8), brand=b"heic"), 16_384, 8_192)


def test_the_size_in_each_sequence_header_counts() -> None:
    data = AV1.data + heif_files.sequence_header(20_000, 10_000)

    assert refused(heif_files.heif(replace(AV1, data=data).item(8, 8)), 20_000, 10_000)


def test_pictures_other_than_the_primary_one_count() -> None:
    assert refused(heif_files.heif(AV1.item(64, 64), heif_files.av1(200, 100).item(64, 64)), 200, 100)


def test_the_size_of_a_grid_counts() -> None:
    grid = heif_files.grid(240, 160, rows=2, columns=2, first=2, announced=(8, 8))

    assert refused(heif_files.heif(grid, *[HEVC.item(120, 80)] * 4, brand=b"heic"), 240, 160)


@pytest.mark.parametrize("compression", [6, 7])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_of_a_jpeg_in_a_tiff_counts(compression: int, progressive: bool) -> None:
    data = tiff_of_jpeg(jpeg_of(16, 100, progressive=progressive), 16, 16, compression=compression)

    with pytest.raises(TooManyPixels, match=r"limit is 1,599\."):
        decode(data, max_pixels=1_599, largest_side=300)


def test_the_size_of_a_tile_that_is_a_jpeg_counts() -> None:
    data = pictures.encode(Image.new("L", (256, 256)), "TIFF", compression="jpeg", tile=(128, 128))
    assert decode(data, max_pixels=256 * 256, largest_side=300).width == 256

    frame = data.rindex(b"\xff\xc0")
    huge = data[: frame + 5] + b"\x20\0\x20\0" + data[frame + 9 :]

    with pytest.raises(TooManyPixels):
        decode(huge, max_pixels=1_000_000, largest_side=300)


def full_sequence_header(width: int, height: int, *, sub_layers_have_delays: bool) -> bytes:
    """Build a sequence header with timing, a decoder model and two operating points."""
    bits = "000" + "0" + "0" + "1" + "0" * 64 + "1" + "00101"  # timing, one tick for each picture
    bits += "1" + "00111" + "0" * 42  # delays of 8 bits
    bits += str(int(sub_layers_have_delays)) + "00001"
    for _ in range(2):
        bits += "0" * 12 + "01001" + "1" + "1" + "0" * 17  # level 9 has a tier
        bits += "1" + "0" * 4 if sub_layers_have_delays else ""
    bits += "1111" * 2 + f"{width - 1:016b}{height - 1:016b}1"
    return heif_files.obu(1, int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big"))


@pytest.mark.parametrize("sub_layers_have_delays", [False, True])
def test_the_size_is_found_in_a_sequence_header_with_all_optional_fields(
    sub_layers_have_delays: bool,
) -> None:
    header = full_sequence_header(40_000, 30_000, sub_layers_have_delays=sub_layers_have_delays)

    assert list(coded_size.in_av1_data(header)) == [(40_000, 30_000)]


@pytest.mark.parametrize(
    "data",
    [heif_files.heif(AV1.item(64, 64)), pictures.animated("AVIF"), pictures.heic(), heif_files.nested_grids(2, 2)],
)
def test_unreadable_data_is_left_to_the_decoder(data: bytes) -> None:
    limits = DecodeLimits(2**80, 1)
    for at in range(0, len(data), 3):
        isobmff.check_coded_sizes(data[:at], limits)
        isobmff.check_coded_sizes(data[:at] + b"\xff" + data[at + 1 :], limits)
        isobmff.check_coded_sizes(data[:at] + b"\0" + data[at + 1 :], limits)
