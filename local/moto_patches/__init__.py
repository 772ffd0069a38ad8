"""Changes to moto 5.2.5, so that memory and speed do not depend on how many images there are.

`apply` makes them, once for the process. Nothing else in this project changes moto's classes.

- `tracking`: moto keeps every object that it ever made; ours does not.
- `transactions`: moto copies whole tables before each transaction; ours copies the items that it names.
- `tables`: moto sorts the whole table for each query; ours keeps its indexes sorted.
- `streams`: moto keeps all stream records and iterators; ours keeps the newest.
- `queues`: moto looks at every message several times for each message that is received; ours looks once.
- `objects`: moto keeps objects in memory, or in open files; ours writes them to files that are closed.
- `listings`: moto goes through the whole bucket for each page of a listing; ours keeps the keys sorted.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from local.moto_patches import listings, objects, queues, streams, tables, tracking, transactions
from local.moto_patches.replacing import check_version


@cache
def apply() -> None:
    """Changes moto. Raises `MotoChanged` where the installed moto is not the one that this was written for."""
    check_version(version("moto"))
    tracking.apply()
    tables.apply()
    transactions.apply()
    streams.apply()
    queues.apply()
    objects.apply()
    listings.apply()
