"""Metadata: EXIF as plain JSON, with nothing in it that a record, an answer or a reader could trip over."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.ExifTags import GPS, Base
from PIL.TiffImagePlugin import IFDRational

from image_processor.decode import decode
from image_processor.metadata import MAX_EXIF_JSON_BYTES, extract, read_exif
from tests import pictures

SHA256 = "0" * 64


def metadata(data: bytes) -> dict[str, Any]:
    decoded = decode(data, max_pixels=10_000_000, long_enough_for=300)
    return extract(decoded, size_bytes=len(data), sha256=SHA256)


def tags(**directories: dict[int, Any]) -> dict[str, Any]:
    return dict(read_exif(pictures.exif(**directories))[0])


def position(**fields: Any) -> dict[str, float]:
    return read_exif(pictures.exif(gps=pictures.gps_tags(**fields)))[1]


CAMERA = pictures.exif(
    orientation=6,
    main={Base.Make: "Acme", Base.Model: "Snap 3", Base.DateTime: "2024:07:01 10:20:30"},
    details={
        Base.ExposureTime: IFDRational(1, 125),
        Base.ISOSpeedRatings: 200,
        Base.MakerNote: b"Acme, serial number 42",
    },
    gps=pictures.gps_tags(),
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_metadata_reads_the_same_from_every_format_that_carries_exif(kind: str) -> None:
    data = pictures.encode(pictures.scene(80, 120), kind, exif=CAMERA)

    result = metadata(data)

    gps = result.pop("gps")
    exif = result.pop("exif")
    assert result == {
        "width": 120,
        "height": 80,
        "format": kind.lower(),
        "size_bytes": len(data),
        "sha256": SHA256,
    }
    assert (
        exif.items()
        >= {
            "Make": "Acme",
            "Model": "Snap 3",
            "DateTime": "2024-07-01T10:20:30",
            "Orientation": 6,
            "ExposureTime": 0.008,
            "ISOSpeedRatings": 200,
        }.items()
    )
    assert gps == {"latitude": 52.51, "longitude": 13.37}


def test_an_image_without_exif_has_empty_exif_and_no_position() -> None:
    result = metadata(pictures.png())

    assert result["exif"] == {}
    assert "gps" not in result


def test_an_mpo_is_reported_as_jpeg() -> None:
    assert metadata(pictures.mpo())["format"] == "jpeg"


def test_maker_notes_offsets_and_position_are_left_out_of_the_tags() -> None:
    names = set(read_exif(CAMERA)[0])

    assert names == {"Make", "Model", "DateTime", "Orientation", "ExposureTime", "ISOSpeedRatings"}


@pytest.mark.parametrize("value", [0, 9, 4000])
def test_an_orientation_that_does_not_exist_is_left_out(value: int) -> None:
    assert tags(main={Base.Orientation: value}) == {}


def test_rationals_are_numbers() -> None:
    found = tags(
        details={
            Base.FNumber: IFDRational(28, 10),
            Base.ExposureBiasValue: IFDRational(-1, 3),
            Base.FocalLength: IFDRational(50, 1),
        }
    )

    assert found == {"FNumber": 2.8, "ExposureBiasValue": pytest.approx(-1 / 3), "FocalLength": 50}
    assert isinstance(found["FocalLength"], int)


def test_a_rational_without_a_value_is_left_out_and_null_inside_a_list() -> None:
    unknown = IFDRational(0, 0)

    found = tags(
        details={
            Base.FNumber: unknown,
            Base.ExposureTime: IFDRational(1, 0),
            Base.LensSpecification: (IFDRational(24, 1), IFDRational(70, 1), unknown, unknown),
            Base.YCbCrCoefficients: (unknown, unknown),
        }
    )

    assert found == {"LensSpecification": [24, 70, None, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 1e-300])
def test_numbers_that_json_or_dynamodb_cannot_hold_are_left_out(value: float) -> None:
    assert tags(main={Base.NoiseProfile: (0.5,)}) == {"NoiseProfile": 0.5}
    assert tags(main={Base.NoiseProfile: (value,)}) == {}


def test_text_has_no_nul_no_control_characters_and_no_blanks_around_it() -> None:
    found = tags(main={Base.Make: "Acme\0\0\0", Base.Model: " Snap\x07 3\n", Base.Artist: "\0\0 "})

    assert found == {"Make": "Acme", "Model": "Snap  3"}


def test_text_in_utf_8_is_read_as_what_it_is() -> None:
    assert tags(main={Base.Artist: "Zoë 写真".encode(), Base.Copyright: "caf\xe9".encode("latin-1")}) == {
        "Artist": "Zoë 写真",
        "Copyright": "café",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"ASCII\0\0\0a day out\0\0", "a day out"),
        (b"UNICODE\0" + "Zoë".encode("utf-16-le"), "Zoë"),
        (b"UNICODE\0" + "Zoë".encode("utf-16-be"), "Zoë"),
        (b"UNICODE\0" + b"\x61\xd8" * 4, "\N{REPLACEMENT CHARACTER}" * 4),
    ],
)
def test_a_user_comment_is_read_in_the_character_set_it_names(value: bytes, text: str) -> None:
    assert tags(details={Base.UserComment: value}) == {"UserComment": text}


@pytest.mark.parametrize("value", [b"ASCII\0\0\0" + bytes(20), b"JIS\0\0\0\0\0\x24\x22", b"\xff\xfe\xfd" * 9])
def test_a_user_comment_that_says_nothing_readable_is_left_out(value: bytes) -> None:
    assert tags(details={Base.UserComment: value}) == {}


def test_bytes_are_text_a_code_or_nothing() -> None:
    found = tags(
        details={
            Base.ExifVersion: b"0232",
            Base.SceneType: b"\x01",
            Base.ComponentsConfiguration: b"\x01\x02\x03\x00",
            Base.CFAPattern: bytes(range(128, 160)),
        }
    )

    assert found == {"ExifVersion": "0232", "SceneType": 1}


def test_dates_are_iso_8601_with_the_offset_where_it_is_known() -> None:
    found = tags(
        main={Base.DateTime: "2024:07:01 10:20:30"},
        details={
            Base.DateTimeOriginal: "2024:06:30 23:59:59",
            Base.OffsetTimeOriginal: "+05:30 ",
            Base.DateTimeDigitized: "2024:06:30 23:59:59",
            Base.OffsetTimeDigitized: "   :  ",
        },
    )

    assert found["DateTime"] == "2024-07-01T10:20:30"
    assert found["DateTimeOriginal"] == "2024-06-30T23:59:59+05:30"
    assert found["DateTimeDigitized"] == "2024-06-30T23:59:59"


@pytest.mark.parametrize(
    "value", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2024:02:30 00:00:00"]
)
def test_a_date_that_is_none_is_left_out(value: str) -> None:
    assert tags(details={Base.DateTimeOriginal: value}) == {}


@pytest.mark.parametrize(("north", "east"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_position_is_in_degrees_north_and_east_positive(north: bool, east: bool) -> None:
    assert position(north=north, east=east, altitude=34.5) == {
        "latitude": 52.51 if north else -52.51,
        "longitude": 13.37 if east else -13.37,
        "altitude": 34.5,
    }


def test_an_altitude_below_the_sea_is_negative() -> None:
    assert position(altitude=-12.25)["altitude"] == -12.25


@pytest.mark.parametrize("latitude", [(91, 0, 0), (90, 0, 1), (IFDRational(0, 0),) * 3])
def test_a_position_that_is_nowhere_is_left_out(latitude: Any) -> None:
    assert position(latitude=latitude) == {}


def test_a_position_of_which_the_hemisphere_is_unknown_is_left_out() -> None:
    known = pictures.gps_tags()
    del known[GPS.GPSLongitudeRef]

    assert read_exif(pictures.exif(gps=known))[1] == {}


def test_tags_that_fit_are_not_marked_as_truncated() -> None:
    assert "_truncated" not in tags(main={Base.ImageDescription: "x" * 16_000, Base.Make: "Acme"})


def test_what_does_not_fit_is_left_out_largest_first_and_marked() -> None:
    found = tags(
        main={Base.ImageDescription: "x" * 20_000, Base.Make: "Acme", Base.Artist: "y" * 9_000},
        details={Base.ISOSpeedRatings: 200, Base.LensModel: "z" * 9_000},
    )

    assert found.pop("_truncated") is True
    assert set(found) - {"Artist", "LensModel"} == {"Make", "ISOSpeedRatings"}
    assert len(found) == 3
    assert len(json.dumps(found)) <= MAX_EXIF_JSON_BYTES


@pytest.mark.parametrize("length", range(MAX_EXIF_JSON_BYTES - 80, MAX_EXIF_JSON_BYTES, 5))
def test_the_bound_holds_however_closely_it_is_reached(length: int) -> None:
    found = tags(main={Base.ImageDescription: "x" * length, Base.Make: "Acme"})

    assert len(json.dumps(found)) <= MAX_EXIF_JSON_BYTES
    assert ("ImageDescription" in found) != ("_truncated" in found)


def test_text_that_grows_when_it_is_escaped_is_bounded_too() -> None:
    found = tags(main={Base.ImageDescription: ("写" * 5_000).encode()})

    assert found == {"_truncated": True}


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*"])
def test_broken_exif_is_no_exif(block: bytes) -> None:
    assert read_exif(block) == ({}, {})


def test_exif_cut_short_gives_no_warning_that_would_fill_the_log() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read_exif(CAMERA[:60])

    assert seen == []


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(CAMERA) - 1), st.integers(0, 255)), max_size=12),
    end=st.integers(0, len(CAMERA) * 4),
)
def test_whatever_the_exif_the_result_is_plain_bounded_json(changes: list[tuple[int, int]], end: int) -> None:
    block = bytearray(CAMERA)
    for place, value in changes:
        block[place] = value

    exif, gps = read_exif(bytes(block[:end]))

    text = json.dumps(exif, allow_nan=False)
    assert len(text) <= MAX_EXIF_JSON_BYTES
    assert "\\u0000" not in text
    assert set(gps) <= {"latitude", "longitude", "altitude"}
    json.dumps(gps, allow_nan=False)
