"""Render images and statistics: tables for a terminal, rows for a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from imgpipe.images import Image
from imgpipe.terminal import Cell, status_text, styled
from imgpipe.text import harmless, size_text, time_text

_WIDE_CELLS = 140
LIST_TITLES = ("image", "status", "name", "created", "dimensions", "size", "caption")
REVIEW_TITLES = ("image", "confidence", "flags", "name", "created", "caption")
_ONLY_WIDE = ("created", "dimensions", "size")


def list_row(image: Image) -> tuple[Cell, ...]:
    """The row of an image in a list."""
    size = image.metadata.get("size_bytes")
    return (
        image.image_id,
        status_text(image.status),
        image.name,
        time_text(image.get("created_at")),
        image.dimensions,
        size_text(size) if isinstance(size, int) else "",
        image.outcome,
    )


def review_row(image: Image) -> tuple[Cell, ...]:
    """The row of an image in the list of images to review."""
    confidence, flags = (image.metadata.get(f"caption_{name}") for name in ("confidence", "flags"))
    return (
        image.image_id,
        f"{confidence:.2f}" if isinstance(confidence, int | float) else "",
        ", ".join(map(str, flags)) if isinstance(flags, list) else "",
        image.name,
        time_text(image.get("created_at")),
        image.outcome,
    )


def table(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table that never truncates ids and statuses, so that they can be copied."""
    rendered = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for number, title in enumerate(titles):
        longest = max((len(_plain(row[number])) for row in rows), default=0)
        is_kept = title not in ("name", "caption")
        rendered.add_column(
            title, no_wrap=title != "caption", overflow="ellipsis", min_width=longest if is_kept else 12
        )
    for row in rows:
        rendered.add_row(*(cell if isinstance(cell, Text) else Text(harmless(cell)) for cell in row))
    return rendered


def list_table(titles: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> Table:
    """A list for a terminal of this width. A narrow one shows fewer columns."""
    kept = [at for at, title in enumerate(titles) if width >= _WIDE_CELLS or title not in _ONLY_WIDE]
    return table([titles[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _plain(cell: Cell) -> str:
    return cell.plain if isinstance(cell, Text) else harmless(cell)


def details(image: Image) -> list[tuple[str, Cell]]:
    """All details of an image, as names and values."""
    return list(_details(image))


def _details(image: Image) -> Iterator[tuple[str, Cell]]:
    yield "image", image.image_id
    yield "status", status_text(image.status)
    yield "name", image.name
    if image.raw.get("error"):
        yield "error", styled(f"{image.error_code}: {image.error_message}", "red")
    for name in ("title", "alt_text", "tags"):
        value = image.get(name)
        if name == "alt_text" and value == "":
            yield "alt text", "(decorative)"
        elif value:
            yield name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    yield "created", time_text(image.get("created_at"))
    if image.get("processed_at"):
        seconds = image.get("processing_time_seconds")
        yield "processed", time_text(image.get("processed_at")) + (f" (in {seconds} s)" if seconds else "")
    yield from _metadata(image.metadata, image.dimensions)
    for size, url in image.thumbnails.items():
        yield f"{size} thumbnail", str(url)
    stages = image.get("stages")
    if isinstance(stages, Mapping):
        yield "stages", ", ".join(f"{stage} {state}" for stage, state in stages.items())


def _metadata(metadata: Mapping[str, Any], dimensions: str) -> Iterator[tuple[str, Cell]]:
    if not metadata:
        return
    yield "caption", str(metadata.get("caption") or "")
    yield "caption model", str(metadata.get("caption_model") or "")
    if metadata.get("caption_confidence") is not None:
        yield "caption confidence", str(metadata["caption_confidence"])
    if metadata.get("caption_flags"):
        yield "caption flags", ", ".join(map(str, metadata["caption_flags"]))
    yield "dimensions", dimensions
    yield "format", str(metadata.get("format") or "")
    yield "size", size_text(metadata.get("size_bytes") or 0)
    yield "sha256", str(metadata.get("sha256") or "")
    for group in ("exif", "gps"):
        found = metadata.get(group)
        if isinstance(found, Mapping):
            for name, value in found.items():
                yield f"{group} {name}", str(value)


def stats_rows(stats: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """The statistics as names and values."""
    rows: list[tuple[str, Cell]] = []
    for name, value in stats.items():
        if name in ("status", "error"):
            continue
        if isinstance(value, Mapping):
            rows += [(f"{name} {inner}".replace("_", " "), _value(found)) for inner, found in value.items()]
        else:
            rows.append((name.replace("_", " "), _value(value)))
    return rows


def _value(value: Any) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def pairs(rows: Sequence[tuple[str, Cell]]) -> RenderableType:
    """Names and values side by side."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(harmless(name)), value if isinstance(value, Text) else Text(harmless(value)))
    return grid
