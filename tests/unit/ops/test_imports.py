"""`ops import`: the keys of copies, what a listing already decides, and the estimate of costs."""

from __future__ import annotations

import re

import pytest

from image_core.keys import claimed_image_id
from ops.imports.costs import PROCESSING, estimate, monthly
from ops.imports.objects import MAX_KEY_BYTES, Finding, SourceObject, destination_key, skip_reason
from tests.running_stack import ROOT

MAX_IMAGE_BYTES = 50_000_000


def test_a_copy_keeps_the_name_of_its_object_and_stays_out_of_the_apis_folder() -> None:
    key = destination_key("photos", "2024/a b+c%é.jpg")
    assert key == "imports/photos/2024/a b+c%é.jpg"
    assert claimed_image_id(destination_key("photos", f"uploads/img_{'0' * 26}/a.jpg")) is None


@pytest.mark.parametrize("key", ["x/" * 507 + "photo.jpg", "é" * 512, "n" * 1024, "d/" * 512])
def test_a_key_that_would_become_too_long_is_replaced_by_its_digest(key: str) -> None:
    copied = destination_key("photos", key)
    assert len(copied.encode()) <= MAX_KEY_BYTES
    assert copied.startswith("imports/_/photos/")
    assert copied.rpartition("/")[2], "the image needs a name"
    assert copied != destination_key("photos", "y" + key[1:])
    # Whatever other objects are called, none of them gets this key.
    assert not destination_key("_photos", "a").startswith("imports/_/")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, None),
        ({"Size": MAX_IMAGE_BYTES}, None),
        ({"Size": MAX_IMAGE_BYTES + 1}, Finding.TOO_LARGE),
        ({"Size": 0}, Finding.EMPTY),
        ({"Size": 0, "Key": "folder/"}, Finding.EMPTY),
        ({"StorageClass": "GLACIER_IR"}, None),
        ({"StorageClass": "GLACIER"}, Finding.ARCHIVED),
        ({"StorageClass": "DEEP_ARCHIVE"}, Finding.ARCHIVED),
        ({"StorageClass": "GLACIER", "RestoreStatus": {"IsRestoreInProgress": True}}, Finding.ARCHIVED),
        (
            {
                "StorageClass": "GLACIER",
                "RestoreStatus": {"IsRestoreInProgress": False, "RestoreExpiryDate": "2026-11-20"},
            },
            None,
        ),
    ],
)
def test_the_listing_decides_about_some_objects(entry: dict[str, object], reason: Finding | None) -> None:
    found = SourceObject.of({"Key": "a.jpg", "ETag": '"abc"', "Size": 1000} | entry)
    assert found.etag == "abc"
    assert skip_reason(found, max_image_bytes=MAX_IMAGE_BYTES) is reason


def test_the_estimate_of_a_million_images_is_that_of_the_documentation() -> None:
    bytes_by_class = {"STANDARD": 2_000_000 * 1_000_000}
    wanted = {"listed": 1_000_000, "examined": 1_000_000, "to_import": 1_000_000, "bytes_by_class": bytes_by_class}
    costs = list(estimate(**wanted, crosses_regions=False))  # type: ignore[arg-type]
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = text[text.index("## What an import costs") :].partition("\n## ")[0]
    assert f"**${sum(cost.dollars for cost in costs):.2f}**" in table
    assert f"**${monthly(1_000_000, 2_000_000 * 1_000_000):.2f}**" in table
    assert f"${PROCESSING * 1_000_000:.2f}" in table
    (transfer,) = [cost for cost in estimate(**wanted, crosses_regions=True) if cost not in costs]  # type: ignore[arg-type]
    assert re.search(rf"between regions.*\${transfer.dollars:.2f}", table)


def test_infrequent_access_storage_adds_its_retrieval() -> None:
    def retrieval(storage_class: str) -> float:
        costs = estimate(
            listed=1, examined=1, to_import=1, bytes_by_class={storage_class: 100 * 10**9}, crosses_regions=False
        )
        return sum(cost.dollars for cost in costs if "retrieval" in cost.what)

    assert (retrieval("STANDARD"), retrieval("STANDARD_IA"), retrieval("GLACIER_IR")) == pytest.approx((0, 1, 3))
