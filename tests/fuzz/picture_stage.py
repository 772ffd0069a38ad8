"""Run hostile files through the picture stage: read files from stdin and write outcomes to stdout.

Each file is handled as in the pipeline (decode, metadata, thumbnails, the model's array). The results are checked,
and
time and memory are measured. `tests.fuzz.monitored_process` starts this process.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import struct
import traceback
from typing import Any

import numpy as np
from PIL import Image

from image_core import renditions
from image_core.errors import CorruptImage, ImageError, TooManyPixels, UnsupportedFormat
from image_core.formats import NAMES
from image_core.renditions import fitted, largest_side
from image_processor.captioning.preprocess import Preprocessor
from image_processor.picture import isolated
from image_processor.picture.decode import decode
from image_processor.picture.metadata import extract
from image_processor.picture.thumbnails import render
from tests import pictures
from tests.metering import Meter

LISTED = {error.code for error in (UnsupportedFormat, CorruptImage, TooManyPixels)}
SUCCESS = "success"
SIZES = renditions.parse(renditions.DEFAULT)
REQUEST = struct.Struct("<QQ")
"""The number of bytes in the file, and the maximum number of pixels."""

ADDRESS_SPACE_BYTES = 8 * 2**30
"""Allocations beyond this fail, so that hostile files cannot exhaust the machine's memory."""
ONLY_LINUX = "only Linux limits a process's address space and tells its peak memory since a moment"
REPEATED = 8
"""One in so many files is processed twice, and must have the same outcome both times."""

_preprocess = Preprocessor(384, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))


class CheckFailed(Exception):
    """A result is wrong."""


def main() -> None:
    """Handle requests until stdin ends."""
    requests = os.fdopen(os.dup(0), "rb")
    responses = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # libtiff and others print there
        os.dup2(silence, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    _warm_up()
    decoding_process = isolated.decoder().pid
    while head := requests.read(REQUEST.size):
        length, max_pixels = REQUEST.unpack(head)
        if isolated.decoder().pid != decoding_process:
            _warm_up()
            decoding_process = isolated.decoder().pid
        responses.write(json.dumps(_measured(requests.read(length), max_pixels)) + "\n")
        responses.flush()


def _warm_up() -> None:
    """Load the library of each decoder, so that it does not count as memory of a file."""
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP"):
        body = io.BytesIO()
        Image.new("RGB", (8, 8)).save(body, kind)
        picture_stage(body.getvalue(), 1_000)
    picture_stage(pictures.heic(), 10_000)


def _measured(data: bytes, max_pixels: int) -> dict[str, Any]:
    meter = Meter()
    outcome, detail = _outcome(data, max_pixels)
    seconds, peak = meter.seconds(), meter.peak_bytes()
    if hashlib.sha256(data).digest()[0] % REPEATED == 0 and (again := _outcome(data, max_pixels)) != (
        outcome,
        detail,
    ):
        outcome, detail = "unsteady", f"{outcome} {detail}; then {again}"
    return {"outcome": outcome, "detail": detail, "seconds": seconds, "peak_bytes": peak}


def _outcome(data: bytes, max_pixels: int) -> tuple[str, str]:
    try:
        return SUCCESS, picture_stage(data, max_pixels)
    except ImageError as error:
        listed = error.code in LISTED
        return (error.code if listed else f"unlisted {error.code}"), ""
    except Exception as error:
        return f"unlisted {type(error).__name__}", traceback.format_exc()[-2_000:]


def picture_stage(data: bytes, max_pixels: int) -> str:
    """Do what the pipeline does between download and caption, and return a digest.

    Raises what the pipeline raises, and `CheckFailed`.
    """
    picture = decode(data, max_pixels=max_pixels, largest_side=largest_side(SIZES))
    metadata = extract(picture, size_bytes=len(data), sha256="")
    thumbnails = render(picture, SIZES)
    array = _preprocess(picture.for_captioning(384))
    digest = hashlib.sha256(json.dumps(metadata, allow_nan=False).encode() + array.tobytes())
    _check(metadata["format"] in NAMES, f"format {metadata['format']}")
    _check(0 < metadata["width"] * metadata["height"] <= max_pixels, "more pixels than are accepted")
    _check(len(json.dumps(metadata["exif"])) <= 16_384, "long EXIF")
    _check(array.shape == (1, 3, 384, 384) and bool(np.isfinite(array).all()), "the array")
    for name, thumbnail in thumbnails.items():
        with Image.open(io.BytesIO(thumbnail.body), formats=("JPEG", "PNG", "WEBP")) as picture_of_thumbnail:
            picture_of_thumbnail.load()
            _check(picture_of_thumbnail.size == (thumbnail.width, thumbnail.height), f"size of {name}")
            _check(
                picture_of_thumbnail.size == fitted(picture.width, picture.height, SIZES[name].side),
                f"size of {name}: {picture_of_thumbnail.size}",
            )
            _check(
                not {"exif", "icc_profile", "xmp", "comment"} & set(picture_of_thumbnail.info),
                f"{name} has {set(picture_of_thumbnail.info)}",
            )
        digest.update(thumbnail.body)
    return digest.hexdigest()


def _check(right: bool, what: str) -> None:
    if not right:
        raise CheckFailed(what)


if __name__ == "__main__":
    main()
