"""A BLIP captioning checkpoint: its configuration, weights and tokenizer, read without torch and transformers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from image_core.errors import ModelError
from models.tokenizer import FILES as TOKENIZER_FILES
from models.tokenizer import load_tokenizer
from models.weights import Floats, Weights

ARCHITECTURE = "BlipForConditionalGeneration"
MAX_LAYERS = 200

Size = Annotated[int, Field(ge=1, strict=True)]
Id = Annotated[int, Field(ge=0, strict=True)]
Rgb = tuple[float, float, float]
Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    """Base of a configuration's parts. The defaults are those of transformers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Vision(_Part):
    """`vision_config`."""

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: Annotated[Size, Field(le=MAX_LAYERS)] = 12
    num_attention_heads: Size = 12
    image_size: Size = 384
    patch_size: Size = 16
    hidden_act: Literal["gelu"] = "gelu"
    layer_norm_eps: float = 1e-5

    @property
    def patches(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch_size

    @property
    def positions(self) -> int:
        """Number of vectors that a picture is encoded to: one per patch and one for the whole."""
        return self.patches**2 + 1


class Text(_Part):
    """`text_config`."""

    vocab_size: Size = 30_524
    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: Annotated[Size, Field(le=MAX_LAYERS)] = 12
    num_attention_heads: Size = 8
    max_position_embeddings: Size = 512
    hidden_act: Literal["gelu"] = "gelu"
    layer_norm_eps: float = 1e-12
    is_decoder: Literal[True] = True
    bos_token_id: Id = 30_522
    sep_token_id: Id = 102
    pad_token_id: Id = 0
    tie_word_embeddings: bool = True

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


class Config(_Part):
    """`config.json`."""

    vision: Vision = Field(default=Vision(), alias="vision_config")
    text: Text = Field(default=Text(), alias="text_config")
    tie_word_embeddings: bool = True

    @property
    def tied(self) -> bool:
        """Whether the head shares the weights of the word embeddings if it has none of its own."""
        return self.tie_word_embeddings or self.text.tie_word_embeddings


def _sides(size: object) -> object:
    return {"height": size, "width": size} if isinstance(size, int) else size


class Preprocessing(_Part):
    """`preprocessor_config.json`: size and colors of the model's input, and settings that the captioner
    requires."""

    size: Annotated[dict[str, int], BeforeValidator(_sides)] = {"height": 384, "width": 384}
    image_mean: Rgb = (0.48145466, 0.4578275, 0.40821073)
    image_std: Rgb = (0.26862954, 0.26130258, 0.27577711)
    resample: Literal[3] = 3  # bicubic
    rescale_factor: float = Field(default=1 / 255, ge=1 / 255 - 1e-9, le=1 / 255 + 1e-9)
    do_resize: Literal[True] = True
    do_rescale: Literal[True] = True
    do_normalize: Literal[True] = True


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be exported: it has all weights that the graphs need, in the right shapes."""

    folder: Path
    vision: Vision
    text: Text
    preprocessing: Preprocessing
    tokenizer: Tokenizer
    weights: Weights
    tied: dict[str, str]
    """Weights that are missing in the file, and the weights that they are tied to."""

    def weight(self, name: str) -> Floats:
        """A parameter by its name, in fp32."""
        return self.weights[self.tied.get(name, name)]

    @property
    def files(self) -> list[Path]:
        """The files that were read."""
        names = ("config.json", "preprocessor_config.json", *TOKENIZER_FILES)
        return [path for name in names if (path := self.folder / name).is_file()] + self.weights.files


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load any BLIP captioning checkpoint, with `.safetensors` or `pytorch_model.bin`.

    Raises `ModelError`, which names the folder, if it is something else or cannot be exported.
    """
    config = load_config(folder)
    preprocessing = _validate(Preprocessing, folder / "preprocessor_config.json")
    _require_supported(folder, config, preprocessing)
    tokenizer, weights = load_tokenizer(folder), Weights(folder)
    tied = _tied(config, weights.shapes)
    _require_weights(folder, weights.shapes, tied, dict(expected_shapes(config.vision, config.text)))
    return Checkpoint(folder, config.vision, config.text, preprocessing, tokenizer, weights, tied)


def load_config(folder: Path) -> Config:
    """Load the configuration of a BLIP captioning checkpoint. Raises `ModelError` if `folder` is something else."""
    require_blip(folder)
    return _validate(Config, folder / "config.json")


def require_blip(folder: Path) -> None:
    """Raise `ModelError` unless `folder` contains a BLIP captioning checkpoint."""
    if not folder.is_dir():
        raise ModelError(f"the checkpoint folder {folder} does not exist")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        found = config.get("architectures") or [config.get("model_type")]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: cannot read config.json") from error
    if config.get("model_type") != "blip" or ARCHITECTURE not in found:
        names = ", ".join(map(str, found))
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it contains {names}, not {ARCHITECTURE}")


def expected_shapes(vision: Vision, text: Text) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight in the graphs."""
    wide, inner, side = vision.hidden_size, vision.intermediate_size, vision.patch_size
    name = "vision_model.embeddings"
    yield f"{name}.class_embedding", (1, 1, wide)
    yield f"{name}.position_embedding", (1, vision.positions, wide)
    yield f"{name}.patch_embedding.weight", (wide, 3, side, side)
    yield f"{name}.patch_embedding.bias", (wide,)
    for layer in range(vision.num_hidden_layers):
        name = f"vision_model.encoder.layers.{layer}"
        yield from _linear(f"{name}.self_attn.qkv", wide, 3 * wide)
        yield from _linear(f"{name}.self_attn.projection", wide, wide)
        yield from _linear(f"{name}.mlp.fc1", wide, inner)
        yield from _linear(f"{name}.mlp.fc2", inner, wide)
        yield from _norm(f"{name}.layer_norm1", wide)
        yield from _norm(f"{name}.layer_norm2", wide)
    yield from _norm("vision_model.post_layernorm", wide)

    width, inner = text.hidden_size, text.intermediate_size
    name = "text_decoder.bert.embeddings"
    yield f"{name}.word_embeddings.weight", (text.vocab_size, width)
    yield f"{name}.position_embeddings.weight", (text.max_position_embeddings, width)
    yield from _norm(f"{name}.LayerNorm", width)
    for layer in range(text.num_hidden_layers):
        name = f"text_decoder.bert.encoder.layer.{layer}"
        for attention, source in (("attention", width), ("crossattention", wide)):
            yield from _linear(f"{name}.{attention}.self.query", width, width)
            yield from _linear(f"{name}.{attention}.self.key", source, width)
            yield from _linear(f"{name}.{attention}.self.value", source, width)
            yield from _linear(f"{name}.{attention}.output.dense", width, width)
            yield from _norm(f"{name}.{attention}.output.LayerNorm", width)
        yield from _linear(f"{name}.intermediate.dense", width, inner)
        yield from _linear(f"{name}.output.dense", inner, width)
        yield from _norm(f"{name}.output.LayerNorm", width)
    name = "text_decoder.cls.predictions"
    yield from _linear(f"{name}.transform.dense", width, width)
    yield from _norm(f"{name}.transform.LayerNorm", width)
    yield from _linear(f"{name}.decoder", width, text.vocab_size)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _validate(model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path}: cannot export {place} = {first['input']!r}: {first['msg']}") from error


def _require_supported(folder: Path, config: Config, preprocessing: Preprocessing) -> None:
    """Reject settings that the graphs or the captioner would handle differently from transformers."""
    vision, text = config.vision, config.text
    for part, name in ((vision, "vision_config"), (text, "text_config")):
        if part.hidden_size % part.num_attention_heads:
            raise ModelError(f"{folder}: {name} has a width that its heads do not divide")
    if text.head_size % 8:
        raise ModelError(f"{folder}: cannot export attention heads whose size is not a multiple of 8")
    if vision.image_size % vision.patch_size:
        raise ModelError(f"{folder}: vision_config has an image_size that is not a multiple of its patch_size")
    if preprocessing.size != {"height": vision.image_size, "width": vision.image_size}:
        raise ModelError(f"{folder}: preprocessor_config.json does not fit the model: {preprocessing.size}")


def _tied(config: Config, found: dict[str, Any]) -> dict[str, str]:
    """Find missing weights that are tied to existing ones. Either of the two may be missing."""
    if not config.tied:
        return {}
    predictions, words = "text_decoder.cls.predictions", "text_decoder.bert.embeddings.word_embeddings.weight"
    pairs = {f"{predictions}.decoder.weight": words, f"{predictions}.decoder.bias": f"{predictions}.bias"}
    pairs |= {other: name for name, other in pairs.items()}
    return {name: other for name, other in pairs.items() if name not in found and other in found}


def _require_weights(
    folder: Path,
    found: dict[str, tuple[int, ...]],
    tied: dict[str, str],
    expected: dict[str, tuple[int, ...]],
) -> None:
    missing = [name for name in expected if tied.get(name, name) not in found]
    if missing:
        raise ModelError(f"the checkpoint in {folder} lacks weights: {min(missing)} and others")
    for name, shape in expected.items():
        if found[tied.get(name, name)] != shape:
            raise ModelError(
                f"the checkpoint in {folder} cannot be loaded: {name} has the shape {found[tied.get(name, name)]}, "
                f"but config.json requires {shape}"
            )
