"""A small checkpoint in the hub's layout, and modified copies of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.random_checkpoint import Shape
from tests.with_torch import torch_or_skip

HUB_LAYOUT = Shape(
    image_size=96,
    vision_width=128,
    vision_inner=256,
    vision_layers=3,
    vision_heads=2,
    text_width=128,
    text_inner=256,
    text_layers=3,
    text_heads=2,
    spread=0.1,
)
"""Small, but with the vocabulary, ids and files of the real checkpoint, and heads of 64."""

EXPORT_WITHOUT_TORCH = """
import sys

sys.modules["torch"] = sys.modules["transformers"] = None  # importing them raises ModuleNotFoundError

from models.export import main

sys.exit(main())
"""
"""Runs `python -m models.export` without torch and transformers."""


def edited(checkpoint: Path, tmp_path: Path, config: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Copy a checkpoint and change its configuration."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "edited"))
    if config is not None:
        content = json.loads((folder / "config.json").read_text())
        config(content)
        (folder / "config.json").write_text(json.dumps(content))
    return folder


def edit_weights(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    torch = torch_or_skip()
    path = folder / "pytorch_model.bin"
    # Tied weights share their memory in the file. After an edit of one of them they must not.
    state = {name: value.clone() for name, value in torch.load(path, weights_only=True).items()}
    edit(state)
    torch.save(state, path)
