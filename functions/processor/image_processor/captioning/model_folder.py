"""A model folder: `model.json` names the model and every file that belongs to it, with size and checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from image_core.errors import ModelError

MANIFEST_NAME = "model.json"

SMALL_BYTES = 1 << 20
"""The checksum of a file up to this size takes almost no time."""

Precision = Literal["fp32", "int8"]
"""The numbers that an export's weights consist of. fp32 is the reference; int8 may change tokens."""

LANGUAGE = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
"""A language of captions (BCP 47), such as "en" or "pt-BR"."""

MIN_IDENTICAL_CAPTIONS, MIN_EQUAL_TOKENS = 0.95, 0.98
"""Below these shares, `make deploy` rejects an export."""


def _plain_relative(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or name != str(path):
        raise ValueError("must be a plain path inside the folder")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Strict):
    """Size in bytes and SHA-256 (hex) of one file."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class TokenIds(_Strict):
    """Ids of the special tokens: `bos` begins a caption, `eos` ends it."""

    bos: int = Field(ge=0)
    eos: int = Field(ge=0)
    pad: int = Field(ge=0)


class Graphs(_Strict):
    """What the captioner must know about the graphs that it runs."""

    encoder: str = "encoder.onnx"
    decoder: str = "decoder.onnx"
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    decoder_layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_size: int = Field(ge=1)
    picture_positions: int = Field(ge=1)
    """Number of vectors that the picture is encoded to."""
    vocabulary: int = Field(ge=1)
    max_positions: int = Field(ge=1)
    """Limit of begin token, prompt and caption together."""


class WorstPicture(_Strict):
    """The picture whose captions differ most."""

    picture: str
    expected: str
    actual: str


class Agreement(_Strict):
    """How an export's captions agree with those of a reference on the same pictures."""

    reference: Literal["fp32", "transformers"]
    pictures: dict[str, int]
    """Number of pictures by source."""
    identical_captions: float = Field(ge=0, le=1)
    """Share of pictures whose captions are identical."""
    equal_tokens: float = Field(ge=0, le=1)
    """Share of the reference's tokens that the export would also have chosen after the same tokens."""
    log_probability_difference: float = Field(ge=0)
    """Mean absolute difference between the log-probabilities that both give to the reference's tokens."""
    worst: WorstPicture

    @property
    def is_sufficient(self) -> bool:
        """Whether `make deploy` accepts the export."""
        return self.identical_captions >= MIN_IDENTICAL_CAPTIONS and self.equal_tokens >= MIN_EQUAL_TOKENS


class Manifest(_Strict):
    """`model.json`."""

    precision: Precision = "fp32"
    """Written only if it is not fp32, so that an fp32 export keeps its bytes."""
    name: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    license: str = Field(min_length=1)
    language: str = Field("en", pattern=LANGUAGE)
    """Language of the captions (BCP 47): English, as those of BLIP. Written only if it is another one."""
    low_confidence: float | None = Field(None, ge=0, le=1)
    """Captions with a lower confidence are flagged. None for a model that nobody calibrated."""
    prompt: str
    """The text that captions continue by default. Empty for none."""
    image_size: int = Field(ge=1)
    """Side of the model's square input in pixels."""
    token_ids: TokenIds
    max_new_tokens: int = Field(ge=1)
    graphs: Graphs | None = None
    """Only an export has graphs; a checkpoint has none."""
    files: dict[Annotated[str, AfterValidator(_plain_relative)], FileEntry] = Field(min_length=1)
    checkpoint: dict[str, FileEntry] | None = None
    """The source files of an export."""
    agreement: Agreement | None = None
    """The comparison of an export with its reference. Every int8 export has one."""

    @property
    def model(self) -> str:
        """Name and revision, as stored with every caption."""
        return f"{self.name}@{self.revision}"


def read_manifest(folder: Path) -> Manifest:
    """Read `model.json` and check that each of its files exists in its full size.

    Raises `ModelError`, which names the folder. `verify_checksums` checks the checksums, which takes seconds.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise ModelError(f"the model folder {folder} does not exist")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is not a model folder: it has no {MANIFEST_NAME}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path} is not valid: {place + ': ' if place else ''}{first['msg']}") from error
    for name, entry in manifest.files.items():
        _check_size(folder, name, entry.bytes)
    return manifest


def verify_checksums(folder: Path, *, small_only: bool = False) -> Manifest:
    """Read the whole folder and compare it with its `model.json`. Raises `ModelError` at the first difference.

    `small_only`: skip the weights, which take seconds.
    """
    manifest = read_manifest(folder)
    for name, entry in manifest.files.items():
        if entry.bytes <= SMALL_BYTES or not small_only:
            _check_sum(folder, name, entry.sha256)
    return manifest


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_size(folder: Path, name: str, expected: int) -> None:
    path = folder / name
    if not path.is_file():
        raise ModelError(f"{folder} is incomplete: {name} is missing")
    actual = path.stat().st_size
    if actual != expected:
        raise ModelError(f"{folder} is incomplete: {name} has {actual:,} bytes instead of {expected:,}")


def _check_sum(folder: Path, name: str, expected: str) -> None:
    if sha256_of(folder / name) != expected:
        raise ModelError(f"{folder / name} is damaged: its SHA-256 differs from {MANIFEST_NAME}")
