"""List prices of us-east-1 in dollars, without free tiers: those of docs/operations.md ("What it costs")."""

from __future__ import annotations

GB = 1_000_000_000

LAMBDA_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
LAMBDA_REQUEST = 0.0000002
S3_WRITE_OR_LIST = 0.000005
S3_READ = 0.0000004
S3_TRANSFER_GB = 0.02
"""From one region to another. Some pairs of regions cost more."""
S3_RETRIEVAL_GB = {"STANDARD_IA": 0.01, "ONEZONE_IA": 0.01, "GLACIER_IR": 0.03}
S3_STORAGE_GB_MONTH = 0.023
DYNAMODB_WRITE = 0.000000625
DYNAMODB_READ = 0.000000125
SQS_REQUEST = 0.0000004
EVENT = 0.000001
LOG_GB = 0.50


def dollars(amount: float) -> str:
    """An amount for people."""
    return f"${amount:,.2f}" if amount >= 0.01 else "under $0.01"
