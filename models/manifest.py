"""Write `model.json`, and name models that have no revision."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from image_processor.captioning.model_folder import (
    MANIFEST_NAME,
    FileEntry,
    Graphs,
    Manifest,
    Precision,
    TokenIds,
    sha256_of,
)


def write_manifest(
    folder: Path,
    *,
    name: str,
    revision: str,
    license: str,
    prompt: str,
    image_size: int,
    token_ids: TokenIds,
    max_new_tokens: int,
    graphs: Graphs | None = None,
    checkpoint: Iterable[Path] = (),
    precision: Precision = "fp32",
    language: str = "en",
    low_confidence: float | None = None,
) -> Manifest:
    """Write `model.json` about all other files in the folder. It is the last step of creating a model folder.

    `checkpoint`: the files that the folder was created from.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    manifest = Manifest(
        precision=precision,
        name=name,
        revision=revision,
        license=license,
        language=language,
        low_confidence=low_confidence,
        prompt=prompt,
        image_size=image_size,
        token_ids=token_ids,
        max_new_tokens=max_new_tokens,
        graphs=graphs,
        checkpoint={path.name: _entry(path) for path in checkpoint} or None,
        files={path.relative_to(folder).as_posix(): _entry(path) for path in paths},
    )
    save_manifest(folder, manifest)
    return manifest


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `model.json`."""
    defaults = {"precision": "fp32", "language": "en"}
    unwritten = {name for name, value in defaults.items() if getattr(manifest, name) == value}
    text = manifest.model_dump_json(indent=2, exclude_none=True, exclude=unwritten)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def weights_revision(weights: Path) -> str:
    """A short name for exactly these weights, for a model without a revision."""
    return sha256_of(weights)[:12]


def _entry(path: Path) -> FileEntry:
    return FileEntry(bytes=path.stat().st_size, sha256=sha256_of(path))
