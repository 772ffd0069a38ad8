"""The container registry that `sam deploy --resolve-image-repos` creates for the processor's images.

SAM puts it into a separate stack, the companion stack, and sets no rule for old images. Each deployment would
permanently add 1 to 2 GB.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

KEPT_IMAGES = 5
"""The newest image is in use. The others are for rollbacks."""
LIFECYCLE_POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "description": f"Keep the newest {KEPT_IMAGES} images: one is in use, the others are for rollbacks.",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
            "action": {"type": "expire"},
        }
    ]
}


def companion_stack(name: str) -> str:
    """The name that SAM gives the companion stack of the stack `name`."""
    # https://github.com/aws/aws-sam-cli/blob/develop/samcli/lib/bootstrap/companion_stack/data_types.py
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name[:104]}-{digest[:8]}-CompanionStack"


def repositories(cloudformation: Any, name: str) -> list[str]:
    """The registries of the stack `name`. Empty if SAM has not created any."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=companion_stack(name))
    try:
        return [
            str(resource["PhysicalResourceId"])
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::ECR::Repository" and resource.get("PhysicalResourceId")
        ]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        return []


def expire_old_images(cloudformation: Any, ecr: Any, name: str) -> list[str]:
    """Set a rule that keeps only the newest images in the registries of the stack `name`. Returns the
    registries."""
    found = repositories(cloudformation, name)
    for repository in found:
        ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=json.dumps(LIFECYCLE_POLICY))
    return found
