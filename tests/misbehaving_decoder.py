"""Replaces `image_processor.picture.isolated_process`: it does what the file says instead of decoding it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PIL import Image

from image_core.errors import TooManyPixels
from image_processor.picture.decoded import Decoded
from image_processor.picture.exif import Exif
from image_processor.picture.formats import DecodeLimits
from image_processor.picture.isolated_process import serve


def work(data: bytes, name: str, limits: DecodeLimits, largest_side: int) -> Decoded:
    """Follow the instruction in `data`. `show` returns a picture whose EXIF is the environment."""
    command, _, argument = data.decode().partition(" ")
    match command:
        case "die":
            os.kill(os.getpid(), int(argument))
        case "exit":
            sys.exit(int(argument))
        case "loop":
            sum(iter(int, 1))  # in C, where no Python code runs meanwhile
        case "allocate":
            bytearray(int(argument))
        case "refuse":
            raise TooManyPixels(argument)
        case "print":
            print("noise", flush=True)
            os.write(1, b"noise")
        case "tell":  # report that the work has begun, then never end
            Path(argument).write_text("begun", encoding="ascii")
            sum(iter(int, 1))
    picture = Image.new("RGB", (2, 3), "red")
    return Decoded(
        format=name,
        width=2,
        height=3,
        mode="RGB",
        bit_depth=8,
        alpha=False,
        frames=limits.frames,
        icc_profile=b"profile",
        dpi=(72.0, 72.0),
        stored=picture,
        covered=(0, 0, 2, float(largest_side)),
        exif=Exif(dict(os.environ), {"latitude": 1.5}),
        warnings=("hdr",),
    )


if __name__ == "__main__":
    serve(work)
