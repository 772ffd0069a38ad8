"""BLIP checkpoints with seeded random weights, in the layout of Salesforce/blip-image-captioning-base on the hub.

They are for tests and measurements, because speed does not depend on the values of the weights.
`python -m models.random_checkpoint FOLDER` writes one with the shape of the real one.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VOCABULARY = 30_524
BOS, SEP, PAD = 30_522, 102, 0
"""The tokenizer does not have `BOS`: it has only the first 30,522 ids of the vocabulary."""
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True)
class Shape:
    """Sizes of a checkpoint. The defaults are those of BLIP-base."""

    image_size: int = 384
    patch_size: int = 16
    vision_width: int = 768
    vision_inner: int = 3072
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 768
    text_inner: int = 3072
    text_layers: int = 12
    text_heads: int = 12
    max_positions: int = 512
    spread: float = 0.02
    """Standard deviation of the weights."""


BASE = Shape()


def write_random_checkpoint(
    folder: Path, shape: Shape = BASE, *, seed: int = 0, weights: Literal["bin", "safetensors"] = "bin"
) -> None:
    """Write configuration, weights, processor and tokenizer files."""
    import torch
    from safetensors.torch import save_file

    model = build_random_model(shape, seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(shape))
    size = {"height": shape.image_size, "width": shape.image_size}
    _write_json(folder / "preprocessor_config.json", {**PREPROCESSOR, "size": size})
    _write_tokenizer(folder)
    state = dict(model.state_dict())
    if weights == "bin":
        # The hub's file has tied weights twice, and a buffer that the classes no longer have.
        state["text_decoder.bert.embeddings.position_ids"] = torch.arange(shape.max_positions)[None]
        torch.save(state, folder / "pytorch_model.bin")
    else:
        tied = ("text_decoder.cls.predictions.decoder.weight", "text_decoder.cls.predictions.decoder.bias")
        kept = {name: value for name, value in state.items() if name not in tied}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def build_random_model(shape: Shape, seed: int = 0) -> Any:
    """Create a `BlipForConditionalGeneration`. Biases and norms are also random, so that none of them can be
    omitted."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    torch.manual_seed(seed)
    config: Any = BlipConfig(**{name: _config(shape)[name] for name in ("text_config", "vision_config")})
    with torch.device("meta"):
        model: Any = BlipForConditionalGeneration(config)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, shape.spread)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1.0)
    positions = torch.arange(shape.max_positions)[None]
    model.text_decoder.bert.embeddings.position_ids.copy_(positions)
    model.tie_weights()
    return model.eval()


PREPROCESSOR: dict[str, Any] = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": MEAN,
    "image_processor_type": "BlipImageProcessor",
    "image_std": STD,
    "processor_class": "BlipProcessor",
    "resample": 3,
}

_LEGACY_GENERATION: dict[str, Any] = {
    "do_sample": False,
    "length_penalty": 1.0,
    "max_length": 20,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "repetition_penalty": 1.0,
}
"""The hub's file, written in 2022, has generation settings in its configuration."""


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["BlipForConditionalGeneration"],
        "image_text_hidden_size": 256,
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "model_type": "blip",
        "projection_dim": 512,
        "torch_dtype": "float32",
        "transformers_version": None,
        "text_config": {
            **_LEGACY_GENERATION,
            "bos_token_id": BOS,
            "eos_token_id": 2,
            "pad_token_id": PAD,
            "sep_token_id": SEP,
            "hidden_act": "gelu",
            "hidden_size": shape.text_width,
            "intermediate_size": shape.text_inner,
            "is_decoder": True,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": shape.max_positions,
            "model_type": "blip_text_model",
            "num_attention_heads": shape.text_heads,
            "num_hidden_layers": shape.text_layers,
            "projection_dim": 768,
            "vocab_size": VOCABULARY,
        },
        "vision_config": {
            **_LEGACY_GENERATION,
            "hidden_act": "gelu",
            "hidden_size": shape.vision_width,
            "image_size": shape.image_size,
            "intermediate_size": shape.vision_inner,
            "layer_norm_eps": 1e-05,
            "model_type": "blip_vision_model",
            "num_attention_heads": shape.vision_heads,
            "num_channels": 3,
            "num_hidden_layers": shape.vision_layers,
            "patch_size": shape.patch_size,
            "projection_dim": 512,
        },
    }


def _write_tokenizer(folder: Path) -> None:
    """Write the files of `bert-base-uncased` as on the hub, with invented words except for the first few."""
    from transformers import BertTokenizer

    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [chr(i) for i in range(33, 127) if not chr(i).isupper()]
    words += ["photo", "of", "picture", *(f"##{chr(i)}" for i in range(97, 123))]
    words += [f"word{i}" for i in range(BOS - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{name.strip('[]').lower()}_token": name for name in special}
    _write_json(folder / "special_tokens_map.json", names)
    settings = {
        **names,
        "do_basic_tokenize": True,
        "do_lower_case": True,
        "model_max_length": 512,
        "never_split": None,
        "processor_class": "BlipProcessor",
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    _write_json(folder / "tokenizer_config.json", settings)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_random_checkpoint(Path(sys.argv[1]))
