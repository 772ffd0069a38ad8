"""Changes to moto 5.2.5, so that memory and speed do not depend on the number of images.

`apply` makes them, once per process. Nothing else in this project changes moto's classes.

- `tracking`: moto keeps every object that it has ever created. The patch turns this off.
- `responses`: moto looks for ten types of each attribute. The patch copies text and numbers as they are.
- `transactions`: moto copies whole tables before each transaction. The patch copies only the items in it.
- `tables`: moto sorts the whole table for each query. The patch keeps its indexes sorted.
- `streams`: moto keeps all stream records and iterators. The patch keeps only the newest.
- `queues`: moto checks every message several times for each received message. The patch checks it once.
- `objects`: moto keeps objects in memory, or in open files. The patch writes them to files and closes them.
- `listings`: moto reads the whole bucket for each page of a listing. The patch keeps the keys sorted.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from local.moto_patches import listings, objects, queues, responses, streams, tables, tracking, transactions
from local.moto_patches.replacing import check_version


@cache
def apply() -> None:
    """Apply the patches. Raises `MotoChanged` if they were written for another version of moto."""
    check_version(version("moto"))
    tracking.apply()
    tables.apply()
    responses.apply()
    transactions.apply()
    streams.apply()
    queues.apply()
    objects.apply()
    listings.apply()
