"""The captioner: runs an export of `models.export` with ONNX Runtime.

It generates the same tokens as `BlipForConditionalGeneration.generate` with greedy decoding: begin token, prompt,
then at each step the most likely token, until the end token or the limit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from threading import Lock

from PIL import Image
from tokenizers import Tokenizer

from image_core.errors import ModelError
from image_processor.captioning.caption import CAPTION_VERSION, Caption, Prompt
from image_processor.captioning.model_folder import Graphs, Manifest, verify_checksums
from image_processor.captioning.onnx_graphs import BoundGraphs
from image_processor.captioning.preprocess import Preprocessor

TOKENIZER_NAME = "tokenizer.json"


class OnnxCaptioner:
    """Generates one caption at a time. Other threads wait."""

    def __init__(self, folder: Path, *, prompt: str | None = None, max_new_tokens: int = 20) -> None:
        """Load the export in `folder`. The arguments are those of `load_captioner`. Raises `ModelError`."""
        self._manifest = verify_checksums(folder, small_only=True)
        graphs = _require_graphs(folder, self._manifest)
        words = self._manifest.prompt if prompt is None else prompt
        self._prompt = Prompt(words, load_tokenizer(folder), self._manifest.token_ids.bos)
        self._prompt.require_room(max_new_tokens, graphs.max_positions)
        self._recipe = _recipe_of(self._manifest, words, max_new_tokens)
        self._max_new_tokens = max_new_tokens
        length = len(self._prompt.ids) + max_new_tokens
        self._preprocess = Preprocessor(self._manifest.image_size, graphs.image_mean, graphs.image_std)
        self._graphs = BoundGraphs(
            folder, graphs, self._manifest.image_size, length, precision=self._manifest.precision
        )
        self._lock = Lock()

    @property
    def model(self) -> str:
        return self._manifest.model

    @property
    def recipe(self) -> str:
        return self._recipe

    @property
    def image_size(self) -> int:
        return self._manifest.image_size

    def caption(self, picture: Image.Image) -> Caption:
        return self._prompt.caption(self.caption_ids(picture))

    def caption_ids(self, picture: Image.Image) -> list[int]:
        """Token ids of the caption: begin token, prompt, generated tokens, and the end token if reached."""
        pixels = self._preprocess(picture)
        ids = list(self._prompt.ids)
        with self._lock:
            logits = self._graphs.start(pixels, ids)
            for left in range(self._max_new_tokens, 0, -1):
                ids.append(int(logits.argmax()))
                if ids[-1] == self._manifest.token_ids.eos or left == 1:
                    break
                logits = self._graphs.step(ids[-1])
        return ids


def _recipe_of(manifest: Manifest, prompt: str, max_new_tokens: int) -> str:
    # The files' checksums also distinguish precisions, and two models of the same name.
    files = {name: entry.sha256 for name, entry in manifest.files.items()}
    parts = [CAPTION_VERSION, manifest.model, files, prompt, max_new_tokens]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _require_graphs(folder: Path, manifest: Manifest) -> Graphs:
    graphs = manifest.graphs
    if graphs is None:
        raise ModelError(f"{folder} is a checkpoint without ONNX graphs. Export it: make model FROM={folder}")
    for name in (graphs.encoder, graphs.decoder, TOKENIZER_NAME):
        if name not in manifest.files:
            raise ModelError(f"{folder} is incomplete: {name} is not in its model.json")
    return graphs


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of an export. Raises `ModelError`."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{folder / TOKENIZER_NAME} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
