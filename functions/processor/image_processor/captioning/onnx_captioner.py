"""The onnx engine: an export of `models.export` under ONNX Runtime, without torch and transformers.

Gives the tokens of `BlipForConditionalGeneration.generate`, greedy: begin token, prompt, then at each step the most
likely token, until the end token or as many as were asked for.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from PIL import Image
from tokenizers import Tokenizer

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption, caption_of
from image_processor.captioning.model_folder import Graphs, Manifest, verify_checksums
from image_processor.captioning.onnx_graphs import BoundGraphs
from image_processor.captioning.preprocess import Preprocessor

TOKENIZER_NAME = "tokenizer.json"


class OnnxCaptioner:
    """One caption at a time; more threads wait for each other."""

    def __init__(self, folder: Path, *, prompt: str | None = None, max_new_tokens: int = 20) -> None:
        """Load the export in `folder`. Raises `ModelError`; arguments as for `load_captioner`."""
        self._manifest = verify_checksums(folder, small_ones_alone=True)
        graphs = _require_graphs(folder, self._manifest)
        self._max_new_tokens = max_new_tokens
        self._tokenizer = _load_tokenizer(folder)
        self._prompt_ids = self._tokenize(self._manifest.prompt if prompt is None else prompt)
        length = 1 + len(self._prompt_ids) + max_new_tokens
        if length > graphs.max_positions:
            raise ModelError(
                f"CAPTION_PROMPT of {len(self._prompt_ids)} tokens and CAPTION_MAX_TOKENS of {max_new_tokens} are "
                f"too long together: the model in {folder} has room for {graphs.max_positions - 1}"
            )
        self._preprocess = Preprocessor(self._manifest.image_size, graphs.image_mean, graphs.image_std)
        self._graphs = BoundGraphs(folder, graphs, self._manifest.image_size, length)
        self._lock = Lock()

    @property
    def model(self) -> str:
        return self._manifest.model

    @property
    def image_size(self) -> int:
        return self._manifest.image_size

    def caption(self, picture: Image.Image) -> Caption:
        ids = self.caption_ids(picture)
        return caption_of(self._decode(ids[1:]), self._decode(ids[1 + len(self._prompt_ids) :]))

    def caption_ids(self, picture: Image.Image) -> list[int]:
        pixels = self._preprocess(picture)
        special = self._manifest.token_ids
        ids = [special.bos, *self._prompt_ids]
        with self._lock:
            logits = self._graphs.start(pixels, ids)
            for left in range(self._max_new_tokens, 0, -1):
                ids.append(int(logits.argmax()))
                if ids[-1] == special.eos or left == 1:
                    break
                logits = self._graphs.step(ids[-1])
        return ids

    def _tokenize(self, prompt: str) -> list[int]:
        return self._tokenizer.encode(prompt, add_special_tokens=False).ids

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def _require_graphs(folder: Path, manifest: Manifest) -> Graphs:
    graphs = manifest.graphs
    if graphs is None:
        raise ModelError(f"CAPTION_ENGINE is onnx, but there is no ONNX export in {folder}")
    for name in (graphs.encoder, graphs.decoder, TOKENIZER_NAME):
        if name not in manifest.files:
            raise ModelError(f"{folder} is incomplete: {name} is not in its model.json")
    return graphs


def _load_tokenizer(folder: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{folder / TOKENIZER_NAME} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
