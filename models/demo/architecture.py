"""The shape of the demo model: BLIP's own classes, small enough to train on a CPU."""

from importlib import import_module
from pathlib import Path
from typing import Any

from image_processor.captioning.model_folder import TokenIds
from models.demo.drawing import PROMPT
from models.demo.vocabulary import save_tokenizer
from models.manifest import weights_revision, write_manifest

IMAGE_SIZE = 64
"""Side of the model's square input in pixels."""
MAX_NEW_TOKENS = 20
MAX_POSITIONS = 256
"""Maximum length. It is enough for any prompt and token limit that the settings allow."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""BLIP's normalization of pixel values 0–1."""


def build_model(tokenizer: Any) -> Any:
    """Create a `BlipForConditionalGeneration` with new weights, fewer than two million."""
    transformers: Any = import_module("transformers")
    ids: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": 8,
        "initializer_range": 0.02,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_POSITIONS,
        **ids,
    }
    config = transformers.BlipConfig(vision_config=vision, text_config=text)
    model = transformers.BlipForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=ids["bos_token_id"],
        eos_token_id=ids["eos_token_id"],
        pad_token_id=ids["pad_token_id"],
        max_new_tokens=MAX_NEW_TOKENS,
    )
    return model


def save_checkpoint(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write all files for `from_pretrained`, and `model.json`."""
    transformers: Any = import_module("transformers")
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = transformers.BlipImageProcessorPil(size=size, image_mean=list(MEAN), image_std=list(STD))
    processor.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # the weights are written as 0600, which other users in a container could not read
    write_manifest(
        folder,
        name="demo",
        revision=weights_revision(folder / "model.safetensors"),
        license="Apache-2.0",
        prompt=PROMPT,
        image_size=IMAGE_SIZE,
        token_ids=TokenIds(bos=tokenizer.bos_token_id, eos=tokenizer.sep_token_id, pad=tokenizer.pad_token_id),
        max_new_tokens=MAX_NEW_TOKENS,
    )
