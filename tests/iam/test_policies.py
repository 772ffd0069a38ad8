"""The evaluator and the resolver, on which all other tests in this folder rely."""

from __future__ import annotations

from typing import Any

import pytest

from tests.iam.calls import Permission, permissions_needed
from tests.iam.policies import allows, denies
from tests.iam.resolved import resolved

READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([READ], True),
        ([], False),
        ([READ | {"Action": ["s3:PutObject", "S3:getobject"]}], True),
        ([READ | {"Action": "s3:Get*"}], True),
        ([READ | {"Action": "s3:GetObjectVersion"}], False),
        ([READ | {"Action": "s3:GetObjec?"}], True),
        ([READ | {"Resource": "arn:aws:s3:::a"}], False),
        ([READ | {"Resource": ["arn:aws:s3:::b/*", "*"]}], True),
        ([READ | {"Resource": "arn:aws:s3:::a.*"}], False),
        ([READ, READ | {"Effect": "Deny"}], False),
        ([READ, READ | {"Effect": "Deny", "Resource": "arn:aws:s3:::b/*"}], True),
        ([READ | {"Condition": {"StringEquals": {"aws:x": ["1", "2"]}}}], True),
        ([READ | {"Condition": {"StringEquals": {"aws:x": "3"}}}], False),
        ([READ | {"Condition": {"StringEquals": {"aws:absent": "1"}}}], False),
        ([READ | {"Condition": {"StringLike": {"aws:x": "*"}, "Bool": {"aws:tls": "true"}}}], True),
        ([READ | {"Condition": {"StringLike": {"aws:x": "*"}, "Bool": {"aws:tls": "false"}}}], False),
    ],
)
def test_statements_are_evaluated_as_by_iam(statements: list[dict[str, Any]], allowed: bool) -> None:
    context = {"aws:x": "1", "aws:tls": "true"}
    assert allows(statements, "s3:GetObject", "arn:aws:s3:::a/k/e/y", context) is allowed


def test_a_deny_wins_only_where_it_applies() -> None:
    no = READ | {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    assert denies([no], "s3:GetObject", "arn:aws:s3:::a/b", {"aws:SecureTransport": "false"})
    assert not denies([no], "s3:GetObject", "arn:aws:s3:::a/b", {"aws:SecureTransport": "true"})


@pytest.mark.parametrize(
    "statement",
    [READ | {"NotAction": "s3:*"}, READ | {"Condition": {"NumericLessThan": {"aws:x": "1"}}}],
)
def test_an_unsupported_statement_raises_an_error(statement: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allows([statement], "s3:GetObject", "arn:aws:s3:::a/b")


def test_intrinsic_functions_are_resolved() -> None:
    stack = resolved()
    assert stack.value({"Fn::Sub": "${AWS::StackName}/${Queue.Arn}/${!Literal}"}) == (
        f"image-pipeline/{stack.arn('Queue')}/${{!Literal}}"
    )
    assert stack.value([{"Fn::If": ["HasKmsKey", "key", {"Ref": "AWS::NoValue"}]}, "b"]) == ["b"]
    assert stack.value({"Fn::Split": [",", {"Fn::Join": [",", ["a", "b"]]}]}) == ["a", "b"]
    with pytest.raises(NotImplementedError):
        stack.value({"Fn::Cidr": []})


NAMES = {"b": "arn:aws:s3:::b", "t": "arn:t", "q": "arn:q"}


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "permissions"),
    [
        ("s3", "head_object", {"Bucket": "b", "Key": "k"}, [("s3:GetObject", "/k"), ("s3:ListBucket", "")]),
        (
            "s3",
            "get_object",
            {"Bucket": "b", "Key": "k", "VersionId": "1"},
            [("s3:GetObjectVersion", "/k"), ("s3:ListBucket", "")],
        ),
        (
            "s3",
            "delete_object",
            {"Bucket": "b", "Key": "k", "IfMatch": "e"},
            [("s3:DeleteObject", "/k"), ("s3:GetObject", "/k")],
        ),
        ("s3", "delete_object", {"Bucket": "b", "Key": "k", "VersionId": "1"}, [("s3:DeleteObjectVersion", "/k")]),
        (
            "s3",
            "delete_objects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l"}]}},
            [("s3:DeleteObject", "/k"), ("s3:DeleteObject", "/l")],
        ),
    ],
)
def test_the_implicit_permissions_of_calls_are_known(
    service: str, operation: str, arguments: dict[str, Any], permissions: list[tuple[str, str]]
) -> None:
    expected = [Permission(action, f"arn:aws:s3:::b{suffix}") for action, suffix in permissions]
    assert permissions_needed(service, operation, arguments, NAMES) == expected


def test_a_transaction_needs_the_permission_of_each_write() -> None:
    writes = [{kind: {"TableName": "t"}} for kind in ("Put", "Update", "Delete", "ConditionCheck")]
    needed = permissions_needed("dynamodb", "transact_write_items", {"TransactItems": writes}, NAMES)
    assert [permission.action for permission in needed] == [
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
    ]


def test_a_query_of_an_index_needs_a_permission_for_the_index() -> None:
    (permission,) = permissions_needed("dynamodb", "query", {"TableName": "t", "IndexName": "i"}, NAMES)
    assert permission == ("dynamodb:Query", "arn:t/index/i")


def test_an_unknown_call_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match=r"calls\.py"):
        permissions_needed("s3", "copy_object", {"Bucket": "b", "Key": "k"}, NAMES)
