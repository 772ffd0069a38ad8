"""Images as lines: JSON that loses nothing, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from imgpipe.images import Image

# Many readers of lines also end a line at these characters, which JSON may contain unescaped.
_LINE_ENDS = {ord("\x85"): "\\u0085", ord("\u2028"): "\\u2028", ord("\u2029"): "\\u2029"}

# Excel and LibreOffice calculate cells that begin with these. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def _of_data(name: str) -> Callable[[Image], Any]:
    return lambda image: image.get(name)


def _of_metadata(name: str) -> Callable[[Image], Any]:
    return lambda image: image.metadata.get(name)


def _of_group(group: str, *names: str) -> Callable[[Image], Any]:
    """The first of these fields that is known, in `exif` or `gps` of the metadata."""

    def find(image: Image) -> Any:
        found = image.metadata.get(group)
        values = found if isinstance(found, Mapping) else {}
        return next((values[name] for name in names if values.get(name) is not None), None)

    return find


COLUMNS: Mapping[str, Callable[[Image], Any]] = {
    "image_id": lambda image: image.image_id,
    "status": lambda image: image.status,
    "error_code": lambda image: image.error_code,
    "name": _of_data("original_name"),
    "created_at": _of_data("created_at"),
    "processed_at": _of_data("processed_at"),
    "width": _of_metadata("width"),
    "height": _of_metadata("height"),
    "format": _of_metadata("format"),
    "size_bytes": _of_metadata("size_bytes"),
    "sha256": _of_metadata("sha256"),
    "title": _of_data("title"),
    "alt_text": _of_data("alt_text"),
    "caption": _of_metadata("caption"),
    "caption_model": _of_metadata("caption_model"),
    "tags": _of_data("tags"),
    "camera_make": _of_group("exif", "Make"),
    "camera_model": _of_group("exif", "Model"),
    "taken_at": _of_group("exif", "DateTimeOriginal", "DateTimeDigitized"),
    "latitude": _of_group("gps", "latitude"),
    "longitude": _of_group("gps", "longitude"),
    "altitude": _of_group("gps", "altitude"),
    "caption_confidence": _of_metadata("caption_confidence"),
    "caption_flags": _of_metadata("caption_flags"),
    "caption_language": _of_metadata("caption_language"),
}
"""The columns of the CSV file, see docs/cli.md. New ones are added at the end only."""


def json_line(image: Image) -> bytes:
    """The API's response for an image as a line of JSON, in UTF-8."""
    text = json.dumps(image.raw, ensure_ascii=False, separators=(",", ":")).translate(_LINE_ENDS)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can escape it, UTF-8 cannot encode it
        return json.dumps(image.raw, separators=(",", ":")).encode() + b"\n"


def csv_titles() -> bytes:
    """The first line of a CSV file (RFC 4180)."""
    return _csv_line(COLUMNS)


def csv_line(image: Image) -> bytes:
    """An image as a line of CSV, in UTF-8. Fields that are not known are empty."""
    return _csv_line([_cell(read(image)) for read in COLUMNS.values()])


def _csv_line(cells: Any) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula: names and captions come from strangers."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = text.replace("\0", "")
    return f"'{text}" if _FORMULA.match(text) else text
