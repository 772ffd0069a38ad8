"""Captions: a BLIP model folder, and ONNX Runtime to run it.

Importing this package is cheap; `load_captioner` imports the libraries.
"""

from __future__ import annotations

from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption, Captioner
from image_processor.captioning.model_folder import MANIFEST_NAME

__all__ = ["Caption", "Captioner", "find_model_dir", "load_captioner"]


def load_captioner(model_dir: Path, *, prompt: str | None = None, max_new_tokens: int = 20) -> Captioner:
    """Load the model in `model_dir`, without network.

    `prompt`: the text that every caption continues. None means the model's own prompt, "" no prompt.
    `max_new_tokens`: the maximum length of a caption, without the prompt.
    Raises `ModelError`, which names the folder or the setting, if this configuration cannot work.
    """
    from image_processor.captioning.onnx_captioner import OnnxCaptioner

    return OnnxCaptioner(model_dir, prompt=prompt, max_new_tokens=max_new_tokens)


def find_model_dir(root: Path) -> Path:
    """The model folder to use under `root` (the repository's `models/`): the real model, else the demo model."""
    for folder in (root / "exported", root / "demo" / "exported"):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    raise ModelError(f"no caption model under {root}: neither exported/ nor demo/exported/ has a {MANIFEST_NAME}")
