"""`local.moto_patches.listings`: the pages of a listing equal those of unpatched moto."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.local.side_by_side import Both, Emulator

KEYS = ["a", "a/", "a/1", "a/2", "a/b/1", "a0", "b/1", "b/10", "b/2", "é/1", "é/2", "~"]


@pytest.fixture(scope="module", params=[True, False], ids=["versioned", "unversioned"])
def bucket(both: Both, request: pytest.FixtureRequest) -> str:
    """A bucket after many writes. Some keys were deleted, some hidden by delete markers, some put again."""
    name = "versioned" if request.param else "unversioned"
    both("s3", "create_bucket", Bucket=name)
    if request.param:
        both("s3", "put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for emulator in (both.patched, both.plain):
        write(emulator, name, random.Random(5))
    return name


def write(emulator: Emulator, bucket: str, rng: random.Random) -> None:
    s3 = emulator.client("s3")
    versions: dict[str, list[str]] = {}
    for _ in range(60):
        key = rng.choice(KEYS)
        kind = rng.choice(["put", "put", "delete", "delete a version"])
        response: Any = {}
        if kind == "put":
            response = s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        elif kind == "delete":
            response = s3.delete_object(Bucket=bucket, Key=key)
        elif versions.get(key):
            s3.delete_object(Bucket=bucket, Key=key, VersionId=versions[key].pop())
        if "VersionId" in response:
            versions.setdefault(key, []).append(response["VersionId"])


@pytest.mark.parametrize("max_keys", [1, 2, 1000])
@pytest.mark.parametrize(
    "narrowed",
    [{}, {"Prefix": "a/"}, {"Prefix": "b"}, {"Prefix": "nothing"}, {"StartAfter": "a/1"}, {"StartAfter": "A"},
     {"Prefix": "a/", "StartAfter": "a/1"}, {"Delimiter": "/"}, {"Delimiter": "/", "Prefix": "a/"},
     {"Delimiter": "/", "StartAfter": "a/"}],
)  # fmt: skip
def test_pages_are_the_same(both: Both, bucket: str, narrowed: dict[str, str], max_keys: int) -> None:
    def pages(emulator: Emulator) -> list[tuple[list[str], list[str]]]:
        arguments: dict[str, Any] = {"Bucket": bucket, "MaxKeys": max_keys, **narrowed}
        found = []
        for page in emulator.client("s3").get_paginator("list_objects_v2").paginate(**arguments):
            keys = [entry["Key"] for entry in page.get("Contents", [])]
            found.append((keys, [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]))
        return found

    both.same(pages)


def test_every_existing_key_is_listed_exactly_once(both: Both, bucket: str) -> None:
    s3 = both.patched.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, MaxKeys=1)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    there = [
        key
        for key in KEYS
        if "Error" not in both.patched.outcome("s3", "head_object", {"Bucket": bucket, "Key": key})
    ]
    assert keys == sorted(there)
    assert keys
