"""The transformers engine: any BLIP captioning checkpoint as it is, run by torch. Slow, and the reference."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption, caption_of
from image_processor.captioning.model_folder import Manifest, read_manifest

if TYPE_CHECKING:
    from PIL import Image

ARCHITECTURE = "BlipForConditionalGeneration"


class TransformersCaptioner:
    """`BlipForConditionalGeneration.generate`, greedy, in fp32."""

    def __init__(self, folder: Path, *, prompt: str | None = None, max_new_tokens: int = 20) -> None:
        """Load the checkpoint in `folder`. Raises `ModelError`; arguments as for `load_captioner`."""
        self._manifest = read_manifest(folder)
        _require_blip(folder)
        self._max_new_tokens = max_new_tokens
        self._model, self._tokenizer, self._image_processor = _load(folder, self._manifest)
        self._prompt_ids = self._tokenize(self._manifest.prompt if prompt is None else prompt)
        self._check_length(folder)

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
        import torch

        pixels = self._image_processor(images=picture.convert("RGB"), return_tensors="pt")["pixel_values"]
        special = self._manifest.token_ids
        # A new tensor for each picture: `generate` overwrites its first id, and drops the last one.
        ids = torch.tensor([[special.bos, *self._prompt_ids, special.eos]])
        with torch.inference_mode():
            output = self._model.generate(
                pixel_values=pixels,
                input_ids=ids,
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
            )
        return [int(one) for one in output[0]]

    def _tokenize(self, prompt: str) -> list[int]:
        return [int(one) for one in self._tokenizer.encode(prompt, add_special_tokens=False)]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _check_length(self, folder: Path) -> None:
        limit = int(self._model.config.text_config.max_position_embeddings)
        prompt, new = len(self._prompt_ids), self._max_new_tokens
        if 1 + prompt + new > limit:
            raise ModelError(
                f"CAPTION_PROMPT of {prompt} tokens and CAPTION_MAX_TOKENS of {new} are too long together: "
                f"the model in {folder} has room for {limit - 1}"
            )


def _require_blip(folder: Path) -> None:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        architectures = config.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: no config.json can be read") from error
    if config.get("model_type") != "blip" or ARCHITECTURE not in architectures:
        found = ", ".join(map(str, architectures)) or config.get("model_type")
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it holds {found}, not {ARCHITECTURE}")


def _load(folder: Path, manifest: Manifest) -> tuple[Any, Any, Any]:
    """Model, tokenizer and image processor of a checkpoint."""
    transformers: Any = import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.BlipForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        tokenizer = transformers.BertTokenizer.from_pretrained(folder, local_files_only=True)
        image_processor = transformers.BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise ModelError(f"the checkpoint in {folder} cannot be loaded: {error}") from error
    if report["missing_keys"]:  # transformers would go on with random weights
        raise ModelError(f"the checkpoint in {folder} lacks weights: {min(report['missing_keys'])} and others")
    text = model.config.text_config
    if (text.bos_token_id, text.sep_token_id) != (manifest.token_ids.bos, manifest.token_ids.eos):
        raise ModelError(f"{folder}: the token ids in model.json are not those of config.json")
    return model.float().eval(), tokenizer, image_processor
