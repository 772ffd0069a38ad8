"""Captions: a BLIP model folder, and the engines that run one.

Importing this package is cheap; an engine brings in its libraries when it is loaded.
"""

from __future__ import annotations

from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption, Captioner
from image_processor.captioning.model_folder import MANIFEST_NAME, read_manifest

__all__ = ["Caption", "Captioner", "find_model_dir", "load_captioner"]

ENGINES = ("auto", "transformers", "onnx")


def load_captioner(
    model_dir: Path,
    *,
    engine: str = "auto",
    prompt: str | None = None,
    max_new_tokens: int = 20,
) -> Captioner:
    """Load the model in `model_dir`, without network.

    `engine`: "auto" is onnx where the folder holds an export, else transformers.
    `prompt`: what every caption continues; None means the model's own, "" none at all.
    `max_new_tokens`: at most this many beside those of the prompt.
    Raises `ModelError`, naming the folder or the setting, if this cannot work for any picture.
    """
    if engine not in ENGINES:
        raise ModelError(f"CAPTION_ENGINE is {engine!r}; it must be one of {', '.join(ENGINES)}")
    if max_new_tokens < 1:
        raise ModelError(f"CAPTION_MAX_TOKENS is {max_new_tokens}; it must be at least 1")
    if engine == "onnx" or (engine == "auto" and read_manifest(model_dir).graphs is not None):
        from image_processor.captioning.onnx_captioner import OnnxCaptioner

        return OnnxCaptioner(model_dir, prompt=prompt, max_new_tokens=max_new_tokens)
    from image_processor.captioning.transformers_engine import TransformersCaptioner

    return TransformersCaptioner(model_dir, prompt=prompt, max_new_tokens=max_new_tokens)


def find_model_dir(root: Path) -> Path:
    """The model folder to use under `root` (the repository's `models/`): the exported one, else the demo model."""
    for folder in (root / "exported", root / "demo" / "exported", root / "demo" / "checkpoint"):
        if (folder / MANIFEST_NAME).is_file():
            return folder
    raise ModelError(f"no caption model under {root}: neither exported/ nor demo/ holds a model.json")
