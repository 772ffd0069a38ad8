"""Forbidden calls: what no role may do according to the template's policies, with one line for each call."""

from __future__ import annotations

import pytest

from tests.iam.policies import ROLES, allows, of_role
from tests.iam.resolved import ACCOUNT, REGION, WEBHOOK_URL, resolved, with_webhooks
from tests.template.conftest import EVERYTHING_ON

STACK = with_webhooks()
UPLOADS, THUMBNAILS = STACK.arn("UploadsBucket"), STACK.arn("ThumbnailsBucket")
IMAGES, STATS = STACK.arn("ImagesTable"), STACK.arn("StatsTable")
QUEUE, LETTERS = STACK.arn("Queue"), STACK.arn("DeadLetterQueue")
KEY_SECRET, BUS = STACK.arn("ApiKeySecret"), STACK.arn("EventBus")
WEBHOOKS, WEBHOOK_LETTERS = STACK.arn("WebhooksQueue"), STACK.arn("WebhooksDeadLetterQueue")
WEBHOOK_SECRET = STACK.arn("WebhookSecret")
AN_ORIGINAL, A_THUMBNAIL = f"{UPLOADS}/uploads/img_1/a.jpg", f"{THUMBNAILS}/img_1/a/small"
KMS_KEY = EVERYTHING_ON["KmsKeyArn"]

DESTRUCTION = [
    *[
        (f"s3:{action}", AN_ORIGINAL)
        for action in ("DeleteObjectVersion", "PutObjectAcl", "BypassGovernanceRetention")
    ],
    *[
        (f"s3:{action}", UPLOADS)
        for action in (
            "DeleteBucket",
            "PutBucketPolicy",
            "DeleteBucketPolicy",
            "PutBucketVersioning",
            "PutLifecycleConfiguration",
            "PutBucketNotification",
            "PutBucketPublicAccessBlock",
            "PutEncryptionConfiguration",
        )
    ],
    *[(f"dynamodb:{action}", IMAGES) for action in ("DeleteTable", "UpdateTable", "Scan", "PartiQLDelete")],
    *[(f"dynamodb:{action}", STATS) for action in ("DeleteTable", "DeleteItem", "Scan")],
    *[(f"sqs:{action}", QUEUE) for action in ("PurgeQueue", "DeleteQueue", "SetQueueAttributes")],
    *[(f"sqs:{action}", LETTERS) for action in ("PurgeQueue", "DeleteQueue", "SendMessage")],
    *[
        (f"sqs:{action}", queue)
        for queue in (WEBHOOKS, WEBHOOK_LETTERS)
        for action in ("PurgeQueue", "DeleteQueue", "SetQueueAttributes", "SendMessage")
    ],
]
"""Forbidden for every role."""

ELSEWHERE = [
    ("s3:GetObject", "arn:aws:s3:::somebody-elses/uploads/img_1/a.jpg"),
    ("s3:PutObject", f"{UPLOADS}-2/uploads/img_1/a.jpg"),
    ("s3:ListBucket", "arn:aws:s3:::somebody-elses"),
    ("s3:ListAllMyBuckets", "*"),
    ("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/another"),
    ("dynamodb:PutItem", f"{IMAGES}-2"),
    ("dynamodb:GetItem", IMAGES.replace(ACCOUNT, "210987654321")),
    ("dynamodb:Query", f"{IMAGES}/index/another"),
    ("sqs:SendMessage", f"{QUEUE}-2"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:another-a1b2c3"),
    ("secretsmanager:PutSecretValue", KEY_SECRET),
    ("secretsmanager:PutSecretValue", WEBHOOK_SECRET),
    ("secretsmanager:GetSecretValue", WEBHOOK_SECRET),
    ("sqs:ReceiveMessage", WEBHOOKS),
    ("sqs:ReceiveMessage", WEBHOOK_LETTERS),
    ("secretsmanager:ListSecrets", "*"),
    ("kms:Decrypt", KMS_KEY),
    ("lambda:InvokeFunction", STACK.arn("ProcessorFunction")),
    ("lambda:UpdateFunctionCode", STACK.arn("ApiFunction")),
    ("iam:PassRole", STACK.arn("ApiRole")),
    ("iam:PutRolePolicy", STACK.arn("ProcessorRole")),
    ("sts:AssumeRole", STACK.arn("ApiRole")),
    ("events:PutEvents", BUS),
    ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/other:*"),
    ("logs:GetLogEvents", STACK.arn("ApiLogGroup")),
]
"""Also forbidden for every role: other resources, other services, the role itself."""

OF_OTHERS = {
    "processor": [
        # It reads hostile originals, and can neither delete nor replace them.
        ("s3:PutObject", AN_ORIGINAL),
        ("s3:DeleteObject", AN_ORIGINAL),
        ("s3:AbortMultipartUpload", AN_ORIGINAL),
        ("s3:GetObjectVersion", AN_ORIGINAL),
        ("s3:GetObject", A_THUMBNAIL),
        ("dynamodb:Query", f"{IMAGES}/index/by_created"),
        ("dynamodb:Query", f"{IMAGES}/index/by_review"),
        ("dynamodb:Query", f"{IMAGES}/index/by_status"),
        ("dynamodb:BatchGetItem", IMAGES),
        ("dynamodb:Query", STATS),
        ("dynamodb:GetItem", STATS),
        ("sqs:ReceiveMessage", LETTERS),
        ("secretsmanager:GetSecretValue", KEY_SECRET),
        ("logs:PutLogEvents", STACK.arn("ApiLogGroup")),
    ],
    "api": [
        ("s3:PutObject", A_THUMBNAIL),
        ("s3:GetObjectVersion", AN_ORIGINAL),
        ("dynamodb:PutItem", STATS),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:DeleteMessage", QUEUE),
        ("sqs:ReceiveMessage", LETTERS),
        ("logs:PutLogEvents", STACK.arn("ProcessorLogGroup")),
    ],
    "recovery": [
        ("s3:PutObject", AN_ORIGINAL),
        ("s3:GetObjectVersion", AN_ORIGINAL),
        ("s3:PutObject", A_THUMBNAIL),
        ("s3:GetObject", A_THUMBNAIL),
        ("dynamodb:BatchGetItem", IMAGES),
        ("dynamodb:Query", f"{IMAGES}/index/by_created"),
        ("dynamodb:Query", f"{IMAGES}/index/by_review"),
        ("dynamodb:PutItem", STATS),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:DeleteMessage", QUEUE),
        ("secretsmanager:GetSecretValue", KEY_SECRET),
    ],
    "stream": [
        ("dynamodb:GetItem", IMAGES),
        ("dynamodb:PutItem", IMAGES),
        ("dynamodb:GetRecords", f"{STATS}/stream/1"),
        ("s3:GetObject", AN_ORIGINAL),
        ("sqs:SendMessage", QUEUE),
        ("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"),
        ("secretsmanager:GetSecretValue", KEY_SECRET),
    ],
    "webhooks": [
        # It talks to a server of somebody else, and knows nothing but the events.
        ("s3:GetObject", AN_ORIGINAL),
        ("s3:GetObject", A_THUMBNAIL),
        ("dynamodb:GetItem", IMAGES),
        ("dynamodb:GetRecords", f"{IMAGES}/stream/1"),
        ("dynamodb:UpdateItem", STATS),
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:SendMessage", QUEUE),
        ("sqs:DeleteMessage", WEBHOOK_LETTERS),
        ("secretsmanager:GetSecretValue", KEY_SECRET),
        ("logs:PutLogEvents", STACK.arn("ApiLogGroup")),
    ],
}
"""By function: what other functions may do and this one may not."""

EXCEPT = {
    ("stream", "events:PutEvents", BUS),
    ("webhooks", "secretsmanager:GetSecretValue", WEBHOOK_SECRET),
    ("webhooks", "sqs:ReceiveMessage", WEBHOOKS),
}
"""Exceptions: the actions above that are the task of one role."""

FORBIDDEN = [
    (function, action, resource)
    for function in ROLES
    for action, resource in [*DESTRUCTION, *ELSEWHERE, *OF_OTHERS[function]]
    if (function, action, resource) not in EXCEPT
]


@pytest.mark.parametrize(
    "chosen", [{"WebhookUrl": WEBHOOK_URL}, EVERYTHING_ON], ids=["by default", "everything on"]
)
@pytest.mark.parametrize(("function", "action", "resource"), FORBIDDEN)
def test_a_role_has_no_permission_beyond_its_task(
    function: str, action: str, resource: str, chosen: dict[str, str]
) -> None:
    assert not allows(of_role(resolved(**chosen), ROLES[function]), action, resource)


def test_every_forbidden_call_would_be_found_if_it_were_allowed() -> None:
    """The list would be worthless if the evaluator denied everything."""
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert all(allows(everything, action, resource) for _, action, resource in FORBIDDEN)
    assert len(FORBIDDEN) > 150
