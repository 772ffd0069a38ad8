"""What an import costs, at the list prices of docs/operations.md. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops.prices import (
    GB,
    S3_READ,
    S3_RETRIEVAL_GB,
    S3_STORAGE_GB_MONTH,
    S3_TRANSFER_GB,
    S3_WRITE_OR_LIST,
)

PROCESSING = 0.0001274
"""From the event of a copied object to its result, without the API (docs/operations.md, "What an import costs")."""
RENDITIONS_BYTES = 180_000
"""Renditions of one image, as in docs/operations.md."""

_PAGE = 1_000


@dataclass(frozen=True)
class Cost:
    """A line of the estimate, in dollars."""

    what: str
    dollars: float


def estimate(
    *, listed: int, examined: int, to_import: int, bytes_by_class: Mapping[str, int], crosses_regions: bool
) -> Iterator[Cost]:
    """The lines of the estimate for importing `to_import` objects. `bytes_by_class`: their bytes by storage class.

    Of `listed` objects, `examined` needed a HEAD and a GET. An import repeats these reads.
    """
    size = sum(bytes_by_class.values())
    requests = (listed / _PAGE + to_import) * S3_WRITE_OR_LIST + 2 * examined * S3_READ
    yield Cost("requests to S3 (list, read, copy)", requests)
    if retrieval := sum(S3_RETRIEVAL_GB.get(name, 0) * number / GB for name, number in bytes_by_class.items()):
        yield Cost("retrieval from infrequent-access storage classes", retrieval)
    if crosses_regions:
        yield Cost("transfer between regions", size / GB * S3_TRANSFER_GB)
    yield Cost("processing, with captions", to_import * PROCESSING)


def monthly(to_import: int, size_bytes: int) -> float:
    """What the copies and their renditions cost each month, in dollars."""
    return (size_bytes + to_import * RENDITIONS_BYTES) / GB * S3_STORAGE_GB_MONTH
