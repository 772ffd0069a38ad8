"""Ids, object keys, and the names of files in the bucket."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core import keys

ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"


def test_a_new_id_is_valid_and_unique() -> None:
    ids = {keys.new_image_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(keys.is_image_id(image_id) for image_id in ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "img_",
        ID[4:],
        ID.upper(),
        ID + "0",
        ID[:-1],
        ID + "\n",
        f" {ID}",
        ID[:-1] + "l",
        ID[:-1] + "u",
        f"{ID}/x",
    ],
)
def test_a_string_that_only_resembles_an_id_is_invalid(text: str) -> None:
    assert not keys.is_image_id(text)


def test_the_id_of_a_direct_drop_never_changes() -> None:
    # The literal value matters: a change would give every image in every bucket a second record.
    assert keys.derived_image_id("photos", "some folder/my photo+1 é.jpg") == "img_4hs16zakpvktxdcgzg8qzwymat"


def test_another_key_or_another_bucket_is_another_image() -> None:
    ids = {keys.derived_image_id(*place) for place in [("ab", "c"), ("a", "bc"), ("ab", "C"), ("ab", "c ")]}
    assert len(ids) == 4


@given(bucket=st.text(), key=st.text())
def test_a_derived_id_is_valid(bucket: str, key: str) -> None:
    assert keys.is_image_id(keys.derived_image_id(bucket, key))


@pytest.mark.parametrize(
    ("key", "claimed"),
    [
        (f"uploads/{ID}/photo.jpg", ID),
        (f"uploads/{ID}/ é + 100%.jpg", ID),
        (f"uploads/{ID}/", None),
        (f"uploads/{ID}", None),
        (f"uploads/{ID}/folder/photo.jpg", None),
        (f"/uploads/{ID}/photo.jpg", None),
        (f"other/uploads/{ID}/photo.jpg", None),
        (f"uploads/{ID.upper()}/photo.jpg", None),
        ("uploads/img_short/photo.jpg", None),
        ("photo.jpg", None),
    ],
)
def test_only_a_key_with_the_apis_format_claims_an_id(key: str, claimed: str | None) -> None:
    assert keys.claimed_image_id(key) == claimed


@pytest.mark.parametrize(
    ("key", "size_bytes", "is_marker"),
    [("a folder/", 0, True), ("a/b/", 0, True), ("a folder/", 1, False), ("photo.jpg", 0, False)],
)
def test_a_folder_marker_ends_in_a_slash_and_is_empty(key: str, size_bytes: int, is_marker: bool) -> None:
    assert keys.is_folder_marker(key, size_bytes) is is_marker


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("my photo+1 100% é.jpg", "my photo+1 100% é.jpg"),
        ("no extension", "no extension"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\evil.png", "evil.png"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("../..", "image"),
        ("folder/", "image"),
        ("line\r\nbreak\x00\t.jpg", "linebreak.jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("zero\u200bwidth\ufeff.jpg", "zerowidth.jpg"),
        ("\U0001f33b sunflower.jpg", "\U0001f33b sunflower.jpg"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("...", "image"),
        (" . ", "image"),
        (".hidden", "hidden"),
        ("photo.", "photo"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("lone\ud800surrogate.jpg", "lonesurrogate.jpg"),
        ("", "image"),
        (None, "image"),
    ],
)
def test_a_name_becomes_a_harmless_last_part_of_a_key(name: str | None, safe: str) -> None:
    assert keys.safe_name(name) == safe


@pytest.mark.parametrize(
    ("key", "image_id", "is_own"),
    [
        (f"uploads/{ID}/photo.jpg", ID, True),
        ("photo.jpg", keys.derived_image_id("bucket", "photo.jpg"), True),
        # A client may drop a file under another image's id; the file becomes a separate image.
        (f"uploads/{ID}/photo.jpg", keys.derived_image_id("bucket", f"uploads/{ID}/photo.jpg"), True),
        ("photo.jpg", keys.derived_image_id("other-bucket", "photo.jpg"), False),
        ("photo.jpg", ID, False),
        (f"uploads/{ID}/folder/photo.jpg", ID, False),
        (f"private/{ID}/photo.jpg", ID, False),
    ],
)
def test_a_key_belongs_to_the_image_that_it_claims_or_derives(key: str, image_id: str, is_own: bool) -> None:
    assert keys.is_key_of(image_id, "bucket", key) is is_own


def test_a_name_of_a_thousand_bytes_is_cut_before_its_extension() -> None:
    safe = keys.safe_name("x" * 1024 + ".jpeg")
    assert safe == "x" * 195 + ".jpeg"


def test_a_name_is_cut_between_characters() -> None:
    safe = keys.safe_name("\U0001f33b" * 300)
    assert safe == "\U0001f33b" * 50


def test_a_suffix_too_long_for_an_extension_is_cut_too() -> None:
    assert keys.safe_name("a." + "b" * 300) == "a." + "b" * 198


@given(st.text(max_size=1200))
def test_the_key_of_any_name_is_valid_and_returns_the_id(name: str) -> None:
    safe = keys.safe_name(name)
    key = keys.upload_key(ID, name)
    assert safe
    assert safe not in (".", "..")
    assert not {"/", "\\"} & set(safe)
    assert not [c for c in safe if unicodedata.category(c).startswith("C")]
    assert len(key.encode()) <= 1024
    assert keys.claimed_image_id(key) == ID


def test_a_thumbnails_key_contains_image_attempt_size_and_digest() -> None:
    key = keys.thumbnail_key(ID, "a1b2", "small", b"")
    assert key.startswith(keys.thumbnail_prefix(ID))
    assert key == f"{ID}/a1b2/small.e3b0c44298fc1c14"
    assert keys.thumbnail_owner(key) == (ID, "a1b2")
