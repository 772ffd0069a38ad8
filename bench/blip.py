"""The model for caption benchmarks: BLIP-base if it was downloaded, else a random model of the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from image_processor.captioning.model_folder import MANIFEST_NAME, read_manifest
from models.blip import load_config
from models.export import Origin, export
from models.fetch import REPOSITORY, REVISION, cached
from models.pictures import Compared
from models.random_checkpoint import write_random_checkpoint

WORK = Path(__file__).parents[1] / ".bench"
FLOAT_BYTES = 4
TOKENS = 20


@dataclass(frozen=True)
class Model:
    """A checkpoint and its export."""

    name: str
    checkpoint: Path
    exported: Path

    @property
    def weights_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.exported.glob("*.weights"))


def prepare(work: Path = WORK) -> Model:
    """Find or create checkpoint and export. Created files stay in `work` for the next time."""
    work.mkdir(exist_ok=True)
    (work / ".gitignore").write_text("*\n")
    exported = work / "exported"
    checkpoint = cached()
    if checkpoint is not None:
        origin = Origin(REPOSITORY, REVISION, "BSD-3-Clause")
    else:
        checkpoint = work / "checkpoint"
        origin = Origin("BLIP-base shape, random weights", "seed 0", "none")
        if not (checkpoint / "pytorch_model.bin").is_file():
            write_random_checkpoint(checkpoint)
    if not (exported / MANIFEST_NAME).is_file() or read_manifest(exported).name != origin.name:
        export(checkpoint, exported, origin)
    return Model(read_manifest(exported).model, checkpoint, exported)


def prepare_int8(model: Model, work: Path = WORK) -> Path:
    """Find or create the export of `model` with 8-bit weights. Captions of only a few pictures are compared."""
    folder = work / "int8"
    fp32 = read_manifest(model.exported)
    if not (folder / MANIFEST_NAME).is_file() or read_manifest(folder).model != fp32.model:
        origin = Origin(fp32.name, fp32.revision, fp32.license)
        export(model.checkpoint, folder, origin, precision="int8", compared=Compared(4, packaged=False))
    return folder


def folder_bytes(folder: Path) -> int:
    """The bytes of all files that belong to an export."""
    return sum(entry.bytes for entry in read_manifest(folder).files.values())


@dataclass(frozen=True)
class Work:
    """The minimum work of a caption: arithmetic for the picture, and one read of each weight for every token."""

    picture_flop: float
    token_bytes: float


def work_of(checkpoint: Path) -> Work:
    """Compute the work from the configuration, without norms, activations and the arithmetic of the text."""
    config = load_config(checkpoint)
    vision, text, positions = config.vision, config.text, config.vision.positions
    width, inner = vision.hidden_size, vision.intermediate_size
    linear = positions * (4 * width * width + 2 * width * inner)
    attention = 2 * positions * positions * width
    patches = (positions - 1) * 3 * vision.patch_size**2 * width
    cross = text.num_hidden_layers * positions * 2 * width * text.hidden_size
    flop = 2 * (vision.num_hidden_layers * (linear + attention) + patches + cross)
    wide, deep = text.hidden_size, text.intermediate_size
    layer = 4 * wide * wide + 2 * wide * wide + 2 * wide * deep
    head = wide * wide + wide * text.vocab_size
    return Work(float(flop), float(FLOAT_BYTES * (text.num_hidden_layers * layer + head)))
