"""The summary of an import, for people."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.imports.costs import monthly
from ops.imports.objects import Finding
from ops.imports.run import Imported
from ops.prices import GB, dollars

_EXPLAINED = {
    "PreconditionFailed": "it was replaced after it was listed",
    "NoSuchKey": "it was deleted after it was listed",
    "404": "it was deleted after it was listed",
}


def lines(done: Imported, *, apply: bool, crosses_regions: bool) -> Iterator[str]:
    """What was found, what it costs or what was imported, and what to do next."""
    size = sum(done.bytes_by_class.values())
    yield f"{done.listed:,} objects listed, {done.to_import:,} to import ({_size_text(size)}):"
    for finding in Finding:
        if done.found[finding]:
            yield f"  {done.found[finding]:>11,}  {finding}"
    if done.errors:
        yield f"  {done.errors:>11,}  failed, see the messages above"
    if apply:
        yield f"Objects copied: {done.copied:,} ({_size_text(done.copied_bytes)})."
    elif done.to_import:
        costs = done.costs(crosses_regions=crosses_regions)
        yield "Estimated cost, at the list prices of docs/operations.md:"
        for cost in costs:
            yield f"  {dollars(cost.dollars):>11}  {cost.what}"
        yield f"  {dollars(sum(cost.dollars for cost in costs)):>11}  in total"
        yield f"  {dollars(monthly(done.to_import, size)):>11}  each month, to store copies and thumbnails"
    yield _conclusion(done, apply=apply)


def _conclusion(done: Imported, *, apply: bool) -> str:
    if not done.is_complete:
        return "The run did not finish. Run this again" + (", or continue with --resume." if apply else ".")
    if done.to_import and not apply:
        return "Nothing was changed. --apply copies them."
    if done.errors:
        return f"Run this again{', without --resume,' * apply} to try the failed ones again."
    if not done.to_import:
        return "Nothing is left to import."
    return "All of them are in the uploads bucket. The pipeline processes them in the background."


def explained(error: Exception) -> str:
    """The error of one object in words."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        return _EXPLAINED.get(code, str(error))
    return str(error)


def _size_text(size_bytes: int) -> str:
    return f"{size_bytes / GB:,.2f} GB" if size_bytes >= GB / 100 else f"{size_bytes / 1e6:,.2f} MB"
