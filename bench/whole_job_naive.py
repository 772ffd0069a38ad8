"""What a developer would build instead: FastAPI, a background task, SQLite, transformers, Pillow at full size.

It is written as in the tutorials of these libraries: one process and one model. It has no retries and no
statistics, and an image whose processing is interrupted is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps

from bench.blip import TOKENS
from bench.contestants import transformers_caption

FOLDER, CHECKPOINT = "BENCH_FOLDER", "BENCH_CHECKPOINT"
"""Environment variables: where files and the database are, and the model's checkpoint."""
SIZES = {"small": (150, "jpg"), "medium": (300, "jpg"), "large": (1280, "webp")}


def create_app() -> FastAPI:
    """The application, with the model loaded. uvicorn calls it (`--factory`)."""
    folder = Path(os.environ[FOLDER])
    caption = transformers_caption(Path(os.environ[CHECKPOINT]), TOKENS)
    app = FastAPI()
    with _database(folder) as database:
        database.execute("CREATE TABLE images (id TEXT PRIMARY KEY, status TEXT, data TEXT)")

    @app.post("/images", status_code=202)
    def upload(file: UploadFile, tasks: BackgroundTasks) -> dict[str, str]:
        image_id = uuid.uuid4().hex
        path = folder / image_id
        path.write_bytes(file.file.read())
        with _database(folder) as database:
            database.execute("INSERT INTO images VALUES (?, 'pending', '{}')", (image_id,))
        tasks.add_task(_process, folder, image_id, caption)
        return {"id": image_id}

    @app.get("/images/{image_id}")
    def image(image_id: str) -> dict[str, Any]:
        with _database(folder) as database:
            row = database.execute("SELECT status, data FROM images WHERE id = ?", (image_id,)).fetchone()
        if row is None:
            raise HTTPException(404)
        return {"id": image_id, "status": row[0], **json.loads(row[1])}

    @app.get("/")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _process(folder: Path, image_id: str, caption: Callable[[Image.Image], list[int]]) -> None:
    path = folder / image_id
    with Image.open(path) as file:
        exif = {str(tag): str(value) for tag, value in file.getexif().items()}
        upright = ImageOps.exif_transpose(file).convert("RGB")
    for name, (side, kind) in SIZES.items():
        thumbnail = upright.copy()
        thumbnail.thumbnail((side, side))
        thumbnail.save(f"{path}-{name}.{kind}", quality=85 if kind == "jpg" else 80)
    data = {
        "width": upright.width,
        "height": upright.height,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "exif": exif,
        "caption": caption(upright),
    }
    with _database(folder) as database:
        database.execute(
            "UPDATE images SET status = 'success', data = ? WHERE id = ?", (json.dumps(data), image_id)
        )


class _database(closing[sqlite3.Connection]):  # noqa: N801 - used like a function
    """A connection that commits when the block ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(sqlite3.connect(folder / "images.sqlite3", isolation_level=None, timeout=30))
