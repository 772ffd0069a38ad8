"""EXIF as plain JSON, without anything that could harm a record, a response or a reader."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.ExifTags import GPS, Base
from PIL.TiffImagePlugin import IFDRational

from image_processor.picture.exif import MAX_JSON_BYTES, Exif, ifd, read_exif
from image_processor.picture.exif.ifd import MAX_ENTRIES
from image_processor.picture.exif.names import NAMES
from tests import exif_blocks, pictures
from tests.exif_blocks import ASCII, BYTE, DOUBLE, LONG, SRATIONAL, UNDEFINED, UTF_8, rationals, shorts, text

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


def tags(**directories: dict[int, Any]) -> dict[str, Any]:
    return dict(read_exif(pictures.exif(**directories)).tags)


def position(**fields: Any) -> dict[str, Any]:
    return dict(read_exif(pictures.exif(gps=pictures.gps_tags(**fields))).position)


def position_with(**changed: object) -> dict[str, Any]:
    """Return the position of a place with additional tags in the GPS directory."""
    gps = pictures.gps_tags() | {GPS[name].value: value for name, value in changed.items()}
    return dict(read_exif(pictures.exif(gps=gps)).position)


def test_tags_have_standard_names_and_exclude_maker_notes_offsets_and_position() -> None:
    assert set(read_exif(CAMERA).tags) == {
        "Make",
        "Model",
        "DateTime",
        "Orientation",
        "ExposureTime",
        "PhotographicSensitivity",
    }


def test_every_name_belongs_to_one_tag() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"])
def test_blocks_are_read_in_either_byte_order_and_as_bigtiff(order: str, big: bool, prefix: bytes) -> None:
    block = exif_blocks.block(
        [text(0x010F, b"A long enough name\0"), shorts(0x0112, 8, order=order)],
        [rationals(0x829A, (1, 250), order=order)],
        [
            text(1, b"S\0"),
            rationals(2, (33, 1), (51, 1), (30, 1), order=order),
            text(3, b"E\0"),
            rationals(4, (151, 1), (12, 1), (0, 1), order=order),
        ],
        order=order,
        big=big,
        prefix=prefix,
    )

    assert read_exif(block) == Exif(
        {"Make": "A long enough name", "Orientation": 8, "ExposureTime": 0.004},
        {"latitude": -33.8583333, "longitude": 151.2},
        orientation=8,
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_a_packed_entry_equals_the_one_in_a_file(order: str, big: bool) -> None:
    block = exif_blocks.block([shorts(0x0112, 3, order=order)], order=order, big=big, prefix=b"")
    structure = ifd.parse(block)
    assert structure is not None

    assert structure.packed_short(0x0112, 3) in block


@pytest.mark.parametrize("value", [0, 9, 4000])
def test_an_invalid_orientation_is_omitted(value: int) -> None:
    found = read_exif(pictures.exif(orientation=value))

    assert (found.tags, found.orientation) == ({}, 1)


@pytest.mark.parametrize("value", range(1, 9))
def test_each_valid_orientation_is_returned(value: int) -> None:
    found = read_exif(pictures.exif(orientation=value))

    assert (found.tags, found.orientation) == ({"Orientation": value}, value)


def test_only_the_main_directory_has_an_orientation() -> None:
    assert read_exif(exif_blocks.block(exif=[shorts(0x0112, 6)])).orientation == 1
    assert read_exif(exif_blocks.block([shorts(0x0112, 8)], [shorts(0x0112, 6)])).orientation == 8


def test_the_orientation_in_a_container_is_applied_and_the_tag_stays() -> None:
    assert read_exif(pictures.exif(orientation=6)).oriented(8) == Exif({"Orientation": 6}, orientation=8)
    assert Exif().oriented(3) == Exif(orientation=3)


def test_rationals_are_numbers() -> None:
    found = tags(
        details={
            Base.FNumber: IFDRational(28, 10),
            Base.ExposureBiasValue: IFDRational(-1, 3),
            Base.FocalLength: IFDRational(500, 1),
        }
    )

    assert found == {"FNumber": 2.8, "ExposureBiasValue": pytest.approx(-1 / 3), "FocalLength": 500}
    assert isinstance(found["FocalLength"], int)


def test_an_undefined_rational_is_omitted_and_null_inside_a_list() -> None:
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


@pytest.mark.parametrize("distance", [(0, 1), (0xFFFFFFFF, 1)])
def test_an_unknown_or_infinite_distance_is_omitted(distance: tuple[int, int]) -> None:
    assert read_exif(exif_blocks.block(exif=[rationals(0x9206, distance)])).tags == {}
    assert read_exif(exif_blocks.block(exif=[rationals(0x9206, (7, 2))])).tags == {"SubjectDistance": 3.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 1e-300])
def test_numbers_that_json_or_dynamodb_cannot_store_are_omitted(value: float) -> None:
    def gamma(one: float) -> dict[str, Any]:
        block = exif_blocks.block(exif=[(0xA500, DOUBLE, 1, struct.pack("<d", one))])
        return dict(read_exif(block).tags)

    assert gamma(0.5) == {"Gamma": 0.5}
    assert gamma(value) == {}


def test_text_has_no_control_characters_or_surrounding_whitespace_and_ends_at_the_first_nul() -> None:
    found = tags(main={Base.Make: "Acme\0\0rubbish", Base.Model: " Snap\x07 3\n", Base.Artist: "\0\0 "})

    assert found == {"Make": "Acme", "Model": "Snap  3"}


def test_text_keeps_joiners_but_no_characters_that_change_its_direction() -> None:
    family = "👨\N{ZERO WIDTH JOINER}👩"

    assert tags(main={Base.Artist: "\N{ZERO WIDTH JOINER} ".encode()}) == {}
    assert tags(main={Base.Artist: f"a\N{RIGHT-TO-LEFT OVERRIDE}b {family}".encode()}) == {
        "Artist": f"a b {family}"
    }


def test_text_is_read_as_utf_8_if_valid_and_otherwise_as_latin_1() -> None:
    assert tags(main={Base.Artist: "Zoë 写真".encode(), Base.Copyright: "caf\xe9".encode("latin-1")}) == {
        "Artist": "Zoë 写真",
        "Copyright": "café",
    }
    block = exif_blocks.block(exif=[text(0xA436, "写真".encode(), kind=UTF_8)])
    assert read_exif(block).tags == {"ImageTitle": "写真"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Ann\0Bob\0", "Ann; Bob"), ("Ann\0 \0", "Ann"), (" \0Bob\0", "Bob"), ("Ann\0Bob\0rubbish\0", "Ann; Bob")],
)
def test_the_copyrights_of_photographer_and_editor_are_both_returned(value: str, expected: str) -> None:
    assert tags(main={Base.Copyright: value}) == {"Copyright": expected}


def test_windows_tags_are_read_as_utf_16() -> None:
    block = exif_blocks.block(
        [
            text(0x9C9B, "Zoë\0rubbish".encode("utf-16-le"), kind=BYTE),
            text(0x9C9C, b"o\0k\0\0\xd8", kind=BYTE),  # half of a character
        ]
    )

    assert read_exif(block).tags == {"XPTitle": "Zoë", "XPComment": "ok\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"ASCII\0\0\0a day out\0\0", "a day out"),
        (bytes(8) + b"a day out", "a day out"),
        (b"ASCII\0\0\0caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"UNICODE\0" + "\0写a真".encode("utf-16-le"), "写a真"),
        (b"UNICODE\0" + "写a真b".encode("utf-16-be"), "写a真b"),
        ("a day out", "a day out"),
        (b"UNICODE\0" + "Zoë".encode("utf-16-le"), "Zoë"),
        (b"UNICODE\0" + "Zoë".encode("utf-16-be"), "Zoë"),
        (b"UNICODE\0" + b"\x61\xd8" * 4, "\N{REPLACEMENT CHARACTER}" * 4),
    ],
)
def test_a_user_comment_is_read_in_its_declared_character_set(value: bytes | str, expected: str) -> None:
    assert tags(details={Base.UserComment: value}) == {"UserComment": expected}


@pytest.mark.parametrize("value", [b"ASCII\0\0\0" + bytes(20), b"JIS\0\0\0\0\0\x24\x22", b"\xff\xfe\xfd" * 9])
def test_an_unreadable_user_comment_is_omitted(value: bytes) -> None:
    assert tags(details={Base.UserComment: value}) == {}


def test_bytes_become_text_a_code_a_list_or_nothing() -> None:
    found = tags(
        details={
            Base.ExifVersion: b"0232",
            Base.SceneType: b"\x01",
            Base.ComponentsConfiguration: b"\x01\x02\x03\x00",
            Base.CFAPattern: bytes(range(128, 160)),
        }
    )

    assert found == {"ExifVersion": "0232", "SceneType": 1, "ComponentsConfiguration": [1, 2, 3, 0]}
    assert tags(details={Base.FlashPixVersion: b"01X\0\0"}) == {"FlashpixVersion": "01X"}


def dated(value: str, **more: str) -> Any:
    details = {Base.DateTimeOriginal: value} | {Base[name].value: text for name, text in more.items()}
    return tags(details=details).get("DateTimeOriginal")


@pytest.mark.parametrize(("count", "expected"), [(1000, True), (1001, False)])
def test_a_list_of_more_than_a_thousand_numbers_is_omitted(count: int, expected: bool) -> None:
    block = exif_blocks.block([(0x013E, DOUBLE, count, struct.pack(f"<{count}d", *[0.5] * count))])

    assert read_exif(block).tags == ({"WhitePoint": [0.5] * count} if expected else {"_truncated": True})


def test_dates_are_iso_8601_with_fraction_and_offset_if_known() -> None:
    assert dated("2024:06:30 23:59:59") == "2024-06-30T23:59:59"
    assert dated("2024:06:30 23:59:59", OffsetTimeOriginal="+05:30 ") == "2024-06-30T23:59:59+05:30"
    assert dated("2024:06:30 23:59:59", OffsetTimeOriginal="Z") == "2024-06-30T23:59:59Z"
    assert dated("2024:06:30 23:59:59", OffsetTimeOriginal="   :  ") == "2024-06-30T23:59:59"
    assert dated("2024:06:30 23:59:59", OffsetTimeOriginal="+25:00") == "2024-06-30T23:59:59"
    assert (
        dated("2024:06:30 23:59:59", SubsecTimeOriginal="042", OffsetTimeOriginal="-03:00")
        == "2024-06-30T23:59:59.042-03:00"
    )
    assert dated("2024:06:30 23:59:59", SubsecTimeOriginal="123456789") == "2024-06-30T23:59:59.123456789"
    assert dated("2024:06:30 23:59:59", SubsecTimeOriginal="1234567890") == "2024-06-30T23:59:59"
    assert dated("2024:06:30 23:59:59", SubsecTimeOriginal="x") == "2024-06-30T23:59:59"


def test_fraction_and_offset_in_a_date_override_the_tags_for_them() -> None:
    more = {"SubsecTimeOriginal": "5", "OffsetTimeOriginal": "+0530"}

    assert dated("2024:06:30 23:59:59", **more) == "2024-06-30T23:59:59.5+05:30"
    assert dated("2024:06:30 23:59:59.25Z", **more) == "2024-06-30T23:59:59.25Z"
    assert dated("2024:06:30 23:59:59-03:00", **more) == "2024-06-30T23:59:59.5-03:00"
    assert dated("2024:06:30 23:59:60", **more) == "2024-07-01T00:00:00.5+05:30"


def test_each_date_has_its_own_offset() -> None:
    found = tags(
        main={Base.DateTime: "2024:07:01 10:20:30"},
        details={Base.OffsetTime: "+01:00", Base.DateTimeDigitized: "2024:06:30 23:59:59"},
    )

    assert found["DateTime"] == "2024-07-01T10:20:30+01:00"
    assert found["DateTimeDigitized"] == "2024-06-30T23:59:59"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-06-30 23:59:59", "2024-06-30T23:59:59"),
        ("2024:06:30", "2024-06-30"),
        ("2024:06:30   :  :  ", "2024-06-30"),
        ("2024:02:29 00:00:00", "2024-02-29T00:00:00"),
        ("2000:02:29 00:00:00", "2000-02-29T00:00:00"),
        ("0001:01:01 23:59:59", "0001-01-01T23:59:59"),
        ("9999:12:31 00:00:00", "9999-12-31T00:00:00"),
        ("2024-06-30T23:59:59Z", "2024-06-30T23:59:59Z"),
        ("2024:06:30 23:59:59+0000", "2024-06-30T23:59:59+00:00"),
        ("2024:06:30 23:59:59+02:00", "2024-06-30T23:59:59+02:00"),
        ("2024:06:30 23:59:59 -0530", "2024-06-30T23:59:59-05:30"),
        ("2024:06:30 23:59:59+9900", "2024-06-30T23:59:59"),
        ("2024:06:30 23:59:59.123", "2024-06-30T23:59:59.123"),
        ("2024-06-30T23:59:59,5-03:00", "2024-06-30T23:59:59.5-03:00"),
        ("2024:06:30 23:59:59.1234567890", "2024-06-30T23:59:59"),
        ("2016:12:31 23:59:60", "2017-01-01T00:00:00"),
        ("2024:01:01 00:00:60.5Z", "2024-01-01T00:01:00.5Z"),
        ("2024:02:28 24:00:00", "2024-02-29T00:00:00"),
    ],
)
def test_dates_in_nonstandard_formats_are_read(value: str, expected: str) -> None:
    assert dated(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "yesterday",
        "2024:02:30 00:00:00",
        "2023:02:29 00:00:00",
        "1900:02:29 00:00:00",
        "2024:00:01 00:00:00",
        "2024:01:00 00:00:00",
        "2024:13:01 00:00:00",
        "2024:01:01 00:60:00",
        "2024:01:01 00:00:61",
        "9999:12:31 23:59:60",
        "2024:06:30+02:00",
        "2024:02:30",
        "2024:01:01 24:00:01",
        "2024:01:01 24:00:60",
        "9999:12:31 24:00:00",
        "٢٠٢٤:01:01 00:00:00",
    ],
)
def test_an_invalid_date_is_omitted(value: str) -> None:
    block = exif_blocks.block(exif=[text(0x9003, value.encode() + b"\0")])

    assert read_exif(block).tags == {}


@pytest.mark.parametrize(("north", "east"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_position_is_in_degrees_north_and_east_positive(north: bool, east: bool) -> None:
    assert position(north=north, east=east, altitude=34.5) == {
        "latitude": 52.51 if north else -52.51,
        "longitude": 13.37 if east else -13.37,
        "altitude": 34.5,
    }


def test_an_altitude_below_the_sea_is_negative() -> None:
    assert position(altitude=-12.25)["altitude"] == -12.25
    assert position_with(GPSAltitude=12.345, GPSAltitudeRef=b"\0\1")["altitude"] == 12.35


@pytest.mark.parametrize(
    "latitude",
    [(91, 0, 0), (90, 0, 1), (1, 2, 3, 4), (45, 61, 0), (IFDRational(0, 0),) * 3, (IFDRational(0, 0), 1, 1)],
)
def test_an_impossible_position_is_omitted(latitude: Any) -> None:
    assert position(latitude=latitude) == {}


def test_a_longitude_of_180_degrees_is_valid_and_one_beyond_it_is_omitted() -> None:
    assert position(longitude=(180, 0, 0))["longitude"] == 180
    assert position(longitude=(180, 0, 1)) == {}


def test_degrees_and_minutes_are_enough_for_a_position() -> None:
    assert position(latitude=(52, 30.6, IFDRational(0, 0)))["latitude"] == 52.51
    block = exif_blocks.block(
        gps=[
            text(1, b"n\0"),
            rationals(2, (5251, 100)),
            text(3, b"w\0"),
            rationals(4, (13, 1), (30, 1)),
        ]
    )
    assert read_exif(block).position == {"latitude": 52.51, "longitude": -13.5}


def test_sixty_seconds_are_a_minute() -> None:
    assert position(latitude=(52, 29, 60))["latitude"] == 52.5


def test_a_negative_degree_is_omitted() -> None:
    block = exif_blocks.block(
        gps=[text(1, b"N\0"), rationals(2, (-5, 1), kind=SRATIONAL), text(3, b"E\0"), rationals(4, (13, 1))]
    )

    assert read_exif(block).position == {}


def test_a_position_with_an_unknown_hemisphere_is_omitted() -> None:
    known = pictures.gps_tags()
    del known[GPS.GPSLongitudeRef]

    assert read_exif(pictures.exif(gps=known)).position == {}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"GPSStatus": "V"},
        {"GPSStatus": "V", "GPSMeasureMode": "3", "GPSSatellites": "7", "GPSAltitude": 20.0},
        {"GPSSatellites": "00", "GPSDOP": 0.0, "GPSHPositioningError": 0.0, "GPSAltitude": 0.0},
        {
            "GPSSatellites": "--",
            "GPSDOP": 99.9,
            "GPSMeasureMode": "0",
            "GPSAltitude": 4e9,
            "GPSHPositioningError": 4e9,
        },
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (21, 59, 59)},
    ],
)
def test_zero_north_zero_east_without_a_fix_is_no_position(changed: dict[str, object]) -> None:
    assert position_with(GPSLatitude=(0, 0, 0), GPSLongitude=(0, 0, 0), **changed) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"GPSStatus": "A"},
        {"GPSMeasureMode": "2"},
        {"GPSMeasureMode": "3"},
        {"GPSSatellites": "7"},
        {"GPSDOP": 1.5},
        {"GPSHPositioningError": 4.5},
        {"GPSAltitude": 20.0},
    ],
)
def test_zero_north_zero_east_with_any_sign_of_a_fix_is_a_position(changed: dict[str, object]) -> None:
    found = position_with(GPSLatitude=(0, 0, 0), GPSLongitude=(0, 0, 0), **changed)

    assert (found["latitude"], found["longitude"]) == (0, 0)


def test_only_one_coordinate_of_zero_is_a_position_even_if_the_fix_was_lost() -> None:
    assert position_with(GPSLatitude=(0, 0, 0)) == {"latitude": 0, "longitude": 13.37}
    assert position_with(GPSLongitude=(0, 0, 0), GPSStatus="V") == {"latitude": 52.51, "longitude": 0}


def test_a_position_has_time_direction_and_accuracy_if_they_are_valid() -> None:
    found = position_with(
        GPSDateStamp="2024:06:30",
        GPSTimeStamp=(21, 59, 59.5),
        GPSImgDirection=IFDRational(1234, 10),
        GPSImgDirectionRef="T",
        GPSHPositioningError=4.87654,
    )

    assert found == {
        "latitude": 52.51,
        "longitude": 13.37,
        "accuracy": 4.88,
        "direction": 123.4,
        "direction_reference": "true",
        "timestamp": "2024-06-30T21:59:59Z",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"GPSDateStamp": "2024:06:31", "GPSTimeStamp": (1, 2, 3)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (24, 0, 0)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (0, 60, 0)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (0, 0, 60)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (IFDRational(0, 0), 1, 2)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (1, IFDRational(0, 0), 2)},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (1, 2, IFDRational(0, 0))},
        {"GPSDateStamp": "2024:06:30", "GPSTimeStamp": (1, 2)},
        {"GPSTimeStamp": (1, 2, 3)},
        {"GPSImgDirection": 360.5},
        {"GPSHPositioningError": 0.0},
        {"GPSHPositioningError": 1e7},
        {"GPSAltitude": 1e7},
        {"GPSHPositioningError": IFDRational(0, 0)},
        {"GPSAltitude": 4e9},
    ],
)
def test_invalid_details_of_a_position_are_omitted(changed: dict[str, object]) -> None:
    assert position_with(**changed) == {"latitude": 52.51, "longitude": 13.37}


@pytest.mark.parametrize(("direction", "expected"), [(0.0, 0), (0.456, 0.46), (359.5, 359.5), (360.0, 0)])
def test_a_direction_is_in_degrees_from_true_or_magnetic_north(direction: float, expected: float) -> None:
    found = position_with(GPSImgDirection=direction, GPSImgDirectionRef="M", GPSHPositioningError=0.5)

    assert (found["direction"], found["direction_reference"], found["accuracy"]) == (expected, "magnetic", 0.5)


def test_midnight_is_a_time() -> None:
    found = position_with(GPSDateStamp="2024:06:30", GPSTimeStamp=(0, 0, 0))

    assert found["timestamp"] == "2024-06-30T00:00:00Z"


def test_tags_that_fit_are_not_marked_as_truncated() -> None:
    assert "_truncated" not in tags(main={Base.ImageDescription: "x" * 16_000, Base.Make: "Acme"})


def test_the_largest_tags_are_omitted_and_marked_if_not_all_fit() -> None:
    found = tags(
        main={Base.ImageDescription: "x" * 20_000, Base.Make: "Acme", Base.Artist: "y" * 9_000},
        details={Base.ISOSpeedRatings: 200, Base.LensModel: "z" * 9_000},
    )

    assert found.pop("_truncated") is True
    assert set(found) - {"Artist", "LensModel"} == {"Make", "PhotographicSensitivity"}
    assert len(found) == 3
    assert len(json.dumps(found)) <= MAX_JSON_BYTES


@pytest.mark.parametrize("length", range(MAX_JSON_BYTES - 80, MAX_JSON_BYTES + 20, 5))
def test_the_size_limit_holds_for_every_length(length: int) -> None:
    found = tags(main={Base.ImageDescription: "x" * length, Base.Make: "Acme"})

    assert len(json.dumps(found)) <= MAX_JSON_BYTES
    assert ("ImageDescription" in found) != ("_truncated" in found)


def test_text_that_grows_when_escaped_is_limited_too() -> None:
    assert tags(main={Base.ImageDescription: ("写" * 5_000).encode()}) == {"_truncated": True}


def test_a_value_too_long_to_read_is_marked_and_affects_no_other() -> None:
    found = tags(main={Base.ImageDescription: "x" * 70_000, Base.Make: "Acme"})

    assert found == {"Make": "Acme", "_truncated": True}


def test_a_position_that_is_too_long_is_omitted() -> None:
    block = exif_blocks.block(
        [text(0x010F, b"Acme\0")],
        gps=[text(1, b"N\0"), rationals(2, *[(1, 1)] * 9_000), text(3, b"E\0"), rationals(4, (1, 1))],
    )

    assert read_exif(block) == Exif({"Make": "Acme"}, {})


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"MM\0*",
        b"II+\0\x08\0\0\0" + b"\xff" * 8,
        b"II*\0\0\0\0\0" + bytes(20),
    ],
)
def test_broken_exif_gives_no_tags(block: bytes) -> None:
    assert read_exif(block) == Exif({}, {})


@pytest.mark.parametrize("at", [0, 8, 45, 46, 47, 0xFFFFFFF0, 0xFFFFFFFF])
def test_reading_ends_at_directories_that_point_to_themselves_or_out_of_the_block(at: int) -> None:
    make = text(0x010F, b"Acme")  # 46 bytes in total
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + struct.pack("<HHI4s", *make)
    block += struct.pack("<HHII", 0x8769, LONG, 1, at) + struct.pack("<HHII", 0x8825, LONG, 1, at)

    assert read_exif(block).tags == {"Make": "Acme"}


@pytest.mark.parametrize(("kind", "count"), [(ASCII, 0xFFFFFFFF), (DOUBLE, 0xFFFFFFFF), (99, 1), (ASCII, 0)])
def test_an_invalid_count_or_type_affects_no_other_tag(kind: int, count: int) -> None:
    block = exif_blocks.block([(0x010E, kind, count, 8), text(0x010F, b"Acme")])

    assert read_exif(block).tags == {"Make": "Acme"}


def test_a_value_at_an_offset_beyond_the_block_affects_no_other_tag() -> None:
    block = exif_blocks.block([(0x010E, ASCII, 8, 0xFFFFFFF0), text(0x010F, b"Acme")])

    assert read_exif(block).tags == {"Make": "Acme"}


def test_a_directory_that_claims_too_many_entries_returns_the_existing_ones() -> None:
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + struct.pack("<HHI4s", *text(0x010F, b"Acme"))

    assert read_exif(block).tags == {"Make": "Acme"}


def test_the_first_of_two_equal_tags_counts() -> None:
    assert read_exif(exif_blocks.block([text(0x010F, b"one"), text(0x010F, b"two")])).tags == {"Make": "one"}


@pytest.mark.parametrize("shared_bytes", [1_000_000, 64 * 1024])
def test_many_tags_that_share_their_bytes_take_no_more_memory(shared_bytes: int) -> None:
    """bench/hostile_exif.py measures the time."""
    block = exif_blocks.bomb(60_000, shared_bytes)
    tracemalloc.start()

    found = read_exif(block)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(json.dumps(found.tags)) <= MAX_JSON_BYTES
    assert peak < 5_000_000


def test_reading_a_directory_stops_beyond_what_cameras_write() -> None:
    block = exif_blocks.block([shorts(0xC000, 1)] * MAX_ENTRIES + [text(0x010F, b"Acme")])

    assert read_exif(block).tags == {}


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(CAMERA) - 1), st.integers(0, 255)), max_size=12),
    end=st.integers(0, len(CAMERA) * 4),
)
def test_the_result_is_plain_limited_json_whatever_the_exif(changes: list[tuple[int, int]], end: int) -> None:
    block = bytearray(CAMERA)
    for place, value in changes:
        block[place] = value

    check_plain(read_exif(bytes(block[:end])))


_kinds = st.sampled_from([BYTE, ASCII, 3, LONG, 5, 6, UNDEFINED, 8, 9, SRATIONAL, 11, DOUBLE, 13, 16, UTF_8, 200])
_entries = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, *range(0x20), 0x927C]),
        _kinds,
        st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
        st.one_of(st.binary(max_size=80), st.integers(0, 2**32 - 1)),
    ),
    max_size=12,
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(main=_entries, exif=_entries, gps=_entries)
def test_the_result_is_plain_limited_json_whatever_the_entries(main: Any, exif: Any, gps: Any) -> None:
    check_plain(read_exif(exif_blocks.block(main, exif, gps)))


def check_plain(found: Exif) -> None:
    written = json.dumps(found.tags, allow_nan=False)
    assert len(written) <= MAX_JSON_BYTES
    assert "\\u0000" not in written
    assert set(found.tags) <= {*NAMES.values(), "_truncated"}
    json.dumps(found.tags, ensure_ascii=False).encode()  # no surrogates
    assert set(found.position) <= {
        "latitude",
        "longitude",
        "altitude",
        "accuracy",
        "direction",
        "direction_reference",
        "timestamp",
    }
    json.dumps(found.position, allow_nan=False)
