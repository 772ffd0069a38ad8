"""`python -m models.export`: exports a BLIP checkpoint to a model folder for ONNX Runtime.

It downloads Salesforce/blip-image-captioning-base, or uses any BLIP captioning checkpoint (`--from FOLDER`). It
writes the graphs, checks them, and only then replaces the folder. Neither torch nor transformers is needed.
`--verify` compares the graphs with transformers. `--precision int8` writes 8-bit weights, which may change
captions: it compares captions with those of the fp32 graphs, or of transformers, and writes the agreement into
model.json.
Exit codes: 0 done, 1 the checkpoint cannot be exported, 3 the hub cannot be reached.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning.confidence import LOW_CONFIDENCE
from image_processor.captioning.model_folder import (
    LANGUAGE,
    MANIFEST_NAME,
    MIN_EQUAL_TOKENS,
    MIN_IDENTICAL_CAPTIONS,
    Agreement,
    Graphs,
    Manifest,
    Precision,
    TokenIds,
    read_manifest,
)
from image_processor.captioning.onnx_captioner import TOKENIZER_NAME
from models.agreement import agreement_with_fp32, agreement_with_transformers, describe
from models.blip import Checkpoint, load_checkpoint
from models.decoder_graph import decoder_graph
from models.encoder_graph import encoder_graph
from models.fetch import LICENSE, REPOSITORY, REVISION, HubUnreachable, OnProgress, fetch
from models.labels import read_labels
from models.layers import Layers, measure
from models.manifest import save_manifest, weights_revision, write_manifest
from models.parity import compare, sample_pictures
from models.pictures import DRAWN_PICTURES, Compared
from models.reference import Reference, require_transformers
from models.reliability import judge_labeled
from models.self_check import self_check
from models.weights import weight_files

TARGET = Path(__file__).parent / "exported"
CANNOT_EXPORT, UNREACHABLE = 1, 3
CHECKED_PICTURES, COMPARED_PICTURES = 2, 3
TOO_FAR = (
    f"differs too much from its reference: at least {MIN_IDENTICAL_CAPTIONS:.0%} of captions must be identical and "
    f"{MIN_EQUAL_TOKENS:.0%} of tokens equal. `make deploy` rejects it unless ALLOW_INEXACT_MODEL=1 is set."
)


@dataclass(frozen=True)
class Origin:
    """The fields of `model.json` about a model's source and use."""

    name: str
    revision: str
    license: str
    prompt: str = ""
    max_new_tokens: int = 20
    language: str = "en"
    low_confidence: float | None = None


def main(arguments: list[str] | None = None, *, on_progress: OnProgress | None = None) -> int:
    """Entry point. Returns the exit code. With `on_progress`, no progress bar of the download is shown."""
    options = _parser().parse_args(arguments)
    try:
        labels = read_labels(options.labeled) if options.labeled else None
        if options.source is None:
            snapshot = fetch(options.repository, options.revision, on_progress=on_progress)
            folder = snapshot.folder
            origin = Origin(options.repository, snapshot.commit, options.license or LICENSE, options.prompt or "")
        else:
            folder = options.source
            origin = origin_of(folder, options.license, options.prompt)
        if options.language:
            origin = replace(origin, language=options.language)
        if options.low_confidence is not None:
            origin = replace(origin, low_confidence=options.low_confidence)
        export(
            folder,
            options.target,
            origin,
            precision=options.precision,
            verify=options.verify,
            compared=Compared(options.drawn, options.pictures),
        )
        if labels:
            print(f"captioning {len(labels.captions)} labeled pictures", flush=True)
            print(judge_labeled(options.target, labels))
    except HubUnreachable as error:
        print(error, file=sys.stderr)
        return UNREACHABLE
    except ModelError as error:
        print(error, file=sys.stderr)
        return CANNOT_EXPORT
    return 0


def export(
    source: Path,
    target: Path,
    origin: Origin,
    *,
    precision: Precision = "fp32",
    verify: bool = False,
    compared: Compared | None = None,
) -> Manifest:
    """Export the checkpoint in `source` to `target`, which is replaced once everything is written and checked.

    `verify`: also compare the graphs with transformers, which must be installed. `compared`: the pictures that an
    agreement is measured on; default: those of `Compared`.
    Raises `ModelError`, which names the folder. `target` is unchanged then.
    """
    started = time.monotonic()
    if verify:
        require_transformers()
    checkpoint = load_checkpoint(source)
    with _replacing(target) as folder:
        exact = folder if precision == "fp32" else folder.with_name("fp32")
        manifest = _write(checkpoint, exact, origin)
        print(_check(source, exact, origin, verify=verify), flush=True)
        if precision == "int8":
            print("measuring each product of the encoder with 8-bit weights", flush=True)
            layers = measure(checkpoint, exact)
            manifest = _write(checkpoint, folder, origin, layers)
            print(f"{layers}\n{_self_check(source, folder)}", flush=True)
        del checkpoint  # the comparison needs the memory
        if precision == "int8" or verify:
            agreement = _compare(source, folder, exact, compared or Compared(), verify=verify)
            print(describe(agreement, precision), flush=True)
            manifest = manifest.model_copy(update={"agreement": agreement})
            save_manifest(folder, manifest)
    size = sum(entry.bytes for entry in manifest.files.values())
    print(
        f"wrote {target}: {manifest.model}, {precision}, {size / 1e6:,.1f} MB, "
        f"in {time.monotonic() - started:.0f} s"
    )
    if manifest.agreement and not manifest.agreement.is_sufficient:
        print(f"{target} {TOO_FAR}")
    return manifest


def _write(checkpoint: Checkpoint, folder: Path, origin: Origin, layers: Layers | None = None) -> Manifest:
    """Write the graphs and everything else: int8 if `layers` were measured, else fp32."""
    precision: Precision = "int8" if layers else "fp32"
    folder.mkdir(exist_ok=True)
    encoder_graph(checkpoint, layers).save(folder)
    decoder_graph(checkpoint, precision).save(folder)
    checkpoint.tokenizer.save(str(folder / TOKENIZER_NAME))
    return _describe(checkpoint, folder, origin, precision)


def _compare(source: Path, folder: Path, exact: Path, compared: Compared, *, verify: bool) -> Agreement:
    samples = list(compared.samples())
    print(f"comparing the captions of {len(samples)} pictures; a large model takes minutes", flush=True)
    if verify:
        return agreement_with_transformers(folder, source, samples)
    return agreement_with_fp32(folder, exact, samples)


def _self_check(source: Path, folder: Path) -> str:
    try:
        return self_check(folder, sample_pictures(CHECKED_PICTURES))
    except ModelError as error:
        raise ModelError(f"the export of {source} is not kept: {error}") from error


def _check(source: Path, folder: Path, origin: Origin, *, verify: bool) -> str:
    if not verify:
        return _self_check(source, folder)
    try:
        print("comparing the graphs with transformers", flush=True)
        pictures = sample_pictures(COMPARED_PICTURES)
        comparison = compare(Reference(source), folder, pictures, max_new_tokens=origin.max_new_tokens)
        if not comparison.close:
            raise ModelError(f"it differs from the checkpoint: {comparison}")
        return str(comparison)
    except ModelError as error:
        raise ModelError(f"the export of {source} is not kept: {error}") from error


def origin_of(folder: Path, license: str | None = None, prompt: str | None = None) -> Origin:
    """The origin of a checkpoint in a folder, from `model.json` if it exists, else from its name and weights."""
    if (folder / MANIFEST_NAME).is_file():
        known = read_manifest(folder)
        return Origin(
            known.name,
            known.revision,
            license or known.license,
            known.prompt if prompt is None else prompt,
            known.max_new_tokens,
            known.language,
            known.low_confidence,
        )
    weights = next(path for path in weight_files(folder) if path.suffix != ".json")
    return Origin(folder.resolve().name, weights_revision(weights), license or "unknown", prompt or "")


def _describe(checkpoint: Checkpoint, folder: Path, origin: Origin, precision: Precision) -> Manifest:
    text, preprocessing = checkpoint.text, checkpoint.preprocessing
    return write_manifest(
        folder,
        name=origin.name,
        revision=origin.revision,
        license=origin.license,
        language=origin.language,
        low_confidence=origin.low_confidence,
        prompt=origin.prompt,
        image_size=checkpoint.vision.image_size,
        token_ids=TokenIds(bos=text.bos_token_id, eos=text.sep_token_id, pad=text.pad_token_id),
        max_new_tokens=origin.max_new_tokens,
        graphs=Graphs(
            image_mean=preprocessing.image_mean,
            image_std=preprocessing.image_std,
            decoder_layers=text.num_hidden_layers,
            heads=text.num_attention_heads,
            head_size=text.head_size,
            picture_positions=checkpoint.vision.positions,
            vocabulary=text.vocab_size,
            max_positions=text.max_position_embeddings,
        ),
        checkpoint=checkpoint.files,
        precision=precision,
    )


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Create a folder next to `target`, which replaces it at the end, or is removed if an exception is raised."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.partial-", dir=target.parent) as scratch:
        folder, old = Path(scratch) / "new", Path(scratch) / "old"
        folder.mkdir()
        yield folder
        for path in folder.iterdir():
            path.chmod(0o644)
        if target.exists():
            if (target / ".gitkeep").exists():
                (folder / ".gitkeep").touch()
            target.rename(old)
        folder.rename(target)


# argparse reports a ValueError of these functions as an invalid value.
def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError
    return share


def _language(text: str) -> str:
    if not re.match(LANGUAGE, text):
        raise ValueError
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.export", description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="a BLIP captioning checkpoint")
    parser.add_argument(
        "--to", dest="target", type=Path, default=TARGET, metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "int8"), default="fp32", help="numbers of the weights; default: %(default)s"
    )
    parser.add_argument(
        "--drawn",
        type=int,
        default=DRAWN_PICTURES,
        metavar="N",
        help="number of drawn pictures that captions are compared on; default: %(default)s",
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="also compare the captions of your own pictures"
    )
    parser.add_argument(
        "--labeled",
        type=Path,
        metavar="FOLDER",
        help="print how reliable the confidence is for these labeled pictures, and suggest a threshold",
    )
    parser.add_argument(
        "--low-confidence",
        type=_share,
        metavar="0..1",
        help="flag captions below this confidence; default: from the checkpoint's model.json, else "
        f"{LOW_CONFIDENCE}, which nobody calibrated",
    )
    parser.add_argument(
        "--language", type=_language, help="language of the captions (BCP 47); default: from model.json, else en"
    )
    parser.add_argument("--repository", default=REPOSITORY, help="repository on the hub; default: %(default)s")
    parser.add_argument("--revision", default=REVISION, help="commit on the hub; default: %(default)s")
    parser.add_argument("--license", help="license of the model; default: from its metadata")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare with transformers, which must be installed, before the export is kept",
    )
    parser.add_argument("--prompt", help="text that captions continue by default; CAPTION_PROMPT overrides it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
