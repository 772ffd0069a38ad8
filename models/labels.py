"""Pictures with captions that a person accepts: a folder with pictures and `labels.csv` or `labels.jsonl`.

Each row or line has `file`, a path inside the folder, and `caption`. A picture with several accepted captions has
several rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from image_core.errors import ModelError
from models.pictures import open_picture

NAMES = ("labels.csv", "labels.jsonl")


@dataclass(frozen=True)
class Labels:
    """The accepted captions of each picture in the folder of `file`, by the picture's path."""

    file: Path
    captions: Mapping[str, tuple[str, ...]]


def read_labels(folder: Path) -> Labels:
    """Read the labels of a folder. Raises `ModelError`, which names the file and the line."""
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise ModelError(f"{folder} has no labels: neither {NAMES[0]} nor {NAMES[1]}")
    captions: dict[str, tuple[str, ...]] = {}
    try:
        for line, row in _rows(file):
            name, caption = row.get("file"), row.get("caption")
            if not isinstance(name, str) or not isinstance(caption, str) or not caption.strip():
                raise ModelError(f"{file}, line {line}: each label needs a `file` and a `caption`")
            if not (folder / name).is_file():
                raise ModelError(f"{file}, line {line}: {name} is not in the folder")
            captions[name] = (*captions.get(name, ()), caption)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    if not captions:
        raise ModelError(f"{file} has no labels")
    return Labels(file, captions)


def labeled_pictures(labels: Labels) -> Iterator[tuple[str, Image.Image, tuple[str, ...]]]:
    """Each labeled picture (RGB) with its path and accepted captions.

    Raises `ModelError` if one cannot be opened.
    """
    for name, captions in labels.captions.items():
        picture = open_picture(labels.file.parent / name)
        if picture is None:
            raise ModelError(f"{labels.file.parent / name} is not a picture that can be opened")
        yield name, picture, captions


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows with their line numbers. A byte order mark, as Excel writes it, is skipped."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        if file.suffix == ".csv":
            reader = csv.DictReader(text)
            for row in reader:
                yield reader.line_num, row
            return
        for number, line in enumerate(text, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise ModelError(f"{file}, line {number} is not JSON") from error
                yield number, row if isinstance(row, dict) else {}
