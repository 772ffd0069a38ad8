"""The captioner: runs an export of `models.export` with ONNX Runtime.

It generates the same tokens as `BlipForConditionalGeneration.generate` with greedy decoding: begin token, prompt,
then at each step the most likely token, until the end token or the limit. A caption ends earlier if it repeats
itself, see `repetition`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from threading import Lock

from PIL import Image
from tokenizers import Tokenizer

from image_core.errors import ModelError
from image_processor.captioning.caption import CAPTION_VERSION, Caption
from image_processor.captioning.confidence import LOW_CONFIDENCE, Generated, log_probability
from image_processor.captioning.model_folder import Graphs, Manifest, verify_checksums
from image_processor.captioning.onnx_graphs import BoundGraphs
from image_processor.captioning.preprocess import Preprocessor
from image_processor.captioning.prompt import Prompt
from image_processor.captioning.repetition import REPETITION_VERSION, RepetitionRule

TOKENIZER_NAME = "tokenizer.json"


class OnnxCaptioner:
    """Generates one caption at a time. Other threads wait."""

    def __init__(
        self, folder: Path, *, prompt: str | None = None, max_new_tokens: int = 20, may_repeat: bool = False
    ) -> None:
        """Load the export in `folder`. The other arguments are those of `load_captioner`. Raises `ModelError`.

        `may_repeat`: repetitions stay, as in transformers. For checks and measurements.
        """
        self._manifest = verify_checksums(folder, small_only=True)
        self._may_repeat = may_repeat
        graphs = _require_graphs(folder, self._manifest)
        words = self._manifest.prompt if prompt is None else prompt
        self._tokenizer = load_tokenizer(folder)
        self._prompt = Prompt(words, self._tokenizer, self._manifest.token_ids.bos)
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
        manifest = self._manifest
        generated = self._generate(picture)
        return self._prompt.caption(
            generated, language=manifest.language, low_confidence=low_confidence_of(manifest)
        )

    def caption_ids(self, picture: Image.Image) -> list[int]:
        """Token ids of the caption: begin token, prompt, generated tokens, and the end token if reached."""
        return [*self._prompt.ids, *self._generate(picture).tokens]

    def _generate(self, picture: Image.Image) -> Generated:
        pixels = self._preprocess(picture)
        rule = None if self._may_repeat else RepetitionRule(self._tokenizer.id_to_token, self._manifest.language)
        tokens: list[int] = []
        log_probabilities: list[float] = []
        with self._lock:
            logits = self._graphs.start(pixels, self._prompt.ids)
            while True:
                tokens.append(int(logits.argmax()))
                log_probabilities.append(log_probability(logits, tokens[-1]))
                found = rule.add(tokens[-1]) if rule else None
                if found or tokens[-1] == self._manifest.token_ids.eos or len(tokens) == self._max_new_tokens:
                    break
                logits = self._graphs.step(tokens[-1])
        if rule and not found:
            found = rule.end()
        return Generated(tokens, log_probabilities).before(found)


def low_confidence_of(manifest: Manifest) -> float:
    """The confidence below which captions of this model are flagged."""
    return LOW_CONFIDENCE if manifest.low_confidence is None else manifest.low_confidence


def _recipe_of(manifest: Manifest, prompt: str, max_new_tokens: int) -> str:
    # The files' checksums also distinguish precisions, and two models of the same name.
    files = {name: entry.sha256 for name, entry in manifest.files.items()}
    parts = [
        CAPTION_VERSION,
        REPETITION_VERSION,
        manifest.model,
        manifest.language,
        low_confidence_of(manifest),
        files,
        prompt,
        max_new_tokens,
    ]
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
