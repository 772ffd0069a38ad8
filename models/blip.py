"""A BLIP captioning checkpoint: its shapes and its weights, whatever its size."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from image_core.errors import ModelError

ARCHITECTURE = "BlipForConditionalGeneration"
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint. `model`, `tokenizer` and `image_processor` are those of transformers."""

    folder: Path
    model: Any
    tokenizer: Any
    image_processor: Any

    @property
    def vision(self) -> Any:
        return self.model.config.vision_config

    @property
    def text(self) -> Any:
        return self.model.config.text_config

    @property
    def patches(self) -> int:
        """Patches a side."""
        return int(self.vision.image_size) // int(self.vision.patch_size)

    @property
    def positions(self) -> int:
        """What the picture becomes: one vector for each patch and one for the whole."""
        return self.patches**2 + 1

    def weights(self) -> dict[str, Weights]:
        """Every parameter by its name, fp32, without a copy."""
        return {name: value.detach().float().numpy() for name, value in self.model.state_dict().items()}


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load any BLIP captioning checkpoint, with `.safetensors` or `pytorch_model.bin`, in fp32.

    Raises `ModelError`, naming the folder, if it is something else or cannot be exported.
    """
    _require_blip(folder)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it holds no tokenizer")
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil, logging

    silence: Any = logging.disable_progress_bar
    silence()

    try:
        loaded: Any = BlipForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        model, report = loaded
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
        image_processor = BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise ModelError(f"the checkpoint in {folder} cannot be loaded: {error}") from error
    if report["missing_keys"]:  # transformers would go on with random weights
        raise ModelError(f"the checkpoint in {folder} lacks weights: {min(report['missing_keys'])} and others")
    checkpoint = Checkpoint(folder, model.float().eval(), tokenizer, image_processor)
    _require_supported(checkpoint)
    return checkpoint


def _require_blip(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"the checkpoint folder {folder} does not exist")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        found = config.get("architectures") or [config.get("model_type")]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: no config.json can be read") from error
    if config.get("model_type") != "blip" or ARCHITECTURE not in found:
        names = ", ".join(map(str, found))
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it holds {names}, not {ARCHITECTURE}")


def _require_supported(checkpoint: Checkpoint) -> None:
    """Refuse what the graphs or the captioner would do differently from transformers."""
    folder, text, vision = checkpoint.folder, checkpoint.text, checkpoint.vision
    for activation in (text.hidden_act, vision.hidden_act):
        if activation != "gelu":
            raise ModelError(f"{folder}: cannot export the activation {activation}, only gelu")
    if (text.hidden_size // text.num_attention_heads) % 8:
        raise ModelError(f"{folder}: cannot export attention heads whose size is not a multiple of 8")
    processor = checkpoint.image_processor
    expected = {"height": vision.image_size, "width": vision.image_size}
    found = {"height": processor.size["height"], "width": processor.size["width"]}
    if found != expected or processor.resample != 3 or abs(processor.rescale_factor * 255 - 1) > 1e-9:
        raise ModelError(f"{folder}: preprocessor_config.json does not fit the model: {processor.size}")
