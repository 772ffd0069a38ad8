"""The policy in docs/security.md for people who drop files."""

from __future__ import annotations

import json

import pytest

from image_core.keys import claimed_image_id, requested_image_id, upload_key
from local.template import ROOT
from tests.iam.policies import Statement, allows, denies
from tests.iam.resolved import resolved

BUCKET = resolved().arn("UploadsBucket")
EVERYTHING: Statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
"""What another policy of the same person might allow."""
VICTIM = requested_image_id("POST /api/uploads", "victim-key")


@pytest.fixture(scope="module")
def policy() -> list[Statement]:
    section = (ROOT / "docs/security.md").read_text(encoding="utf-8").partition("\n## Who may drop files\n")[2]
    document = json.loads(section.partition("```json\n")[2].partition("```")[0])
    assert document["Version"] == "2012-10-17"
    statements: list[Statement] = document["Statement"]
    return statements


@pytest.mark.parametrize(
    "key", ["photo.jpg", "some folder/my photo.jpg", "2026/11/é.heic", "uploads.jpg", "uploads-2/a.jpg"]
)
def test_a_file_may_be_dropped_outside_the_apis_folder(policy: list[Statement], key: str) -> None:
    assert claimed_image_id(key) is None
    assert allows(policy, "s3:PutObject", f"{BUCKET}/{key}")


@pytest.mark.parametrize(
    "action", ["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:AbortMultipartUpload"]
)
@pytest.mark.parametrize(
    "key",
    [
        upload_key("img_01m8d1sz4r77gp3jctc3fzapwp", "photo.jpg"),
        f"uploads/{VICTIM}/x.png",
        f"uploads/{VICTIM}/",
        "uploads/x.png",
        "uploads/",
    ],
)
def test_nothing_may_be_dropped_into_the_apis_folder(policy: list[Statement], action: str, key: str) -> None:
    """Otherwise a person could take the id of another client's Idempotency-Key, or overwrite its upload."""
    assert denies(policy, action, f"{BUCKET}/{key}")
    assert not allows([*policy, EVERYTHING], action, f"{BUCKET}/{key}")


@pytest.mark.parametrize(
    "action", ["s3:GetObject", "s3:ListBucket", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl"]
)
def test_nothing_else_is_allowed(policy: list[Statement], action: str) -> None:
    assert not allows(policy, action, f"{BUCKET}/photo.jpg")
    assert not allows(policy, action, BUCKET)


def test_no_other_bucket_is_allowed(policy: list[Statement]) -> None:
    for bucket in (f"{BUCKET}-2", resolved().arn("ThumbnailsBucket")):
        assert not allows(policy, "s3:PutObject", f"{bucket}/photo.jpg")
