"""A new process that captions one picture and reports its cost. Started by `bench.cold_start`."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def onnx_first_caption(folder: Path, picture: Path, tokens: int) -> list[int]:
    """Caption like the processor: the model loads in a thread while the picture is decoded."""
    with ThreadPoolExecutor(1) as pool:
        captioner = pool.submit(_load_captioner, folder, tokens)
        from PIL import Image

        with Image.open(picture) as image:
            image.load()
        return list(captioner.result().caption_ids(image))


def _load_captioner(folder: Path, tokens: int) -> Any:
    from image_processor.captioning.onnx_captioner import OnnxCaptioner

    return OnnxCaptioner(folder, prompt="", max_new_tokens=tokens, may_repeat=True)


def transformers_first_caption(folder: Path, picture: Path, tokens: int) -> list[int]:
    """Caption as in the documentation of transformers."""
    from PIL import Image

    from bench.contestants import transformers_caption

    with Image.open(picture) as image:
        return transformers_caption(folder, tokens)(image)


WAYS: dict[str, Callable[[Path, Path, int], list[int]]] = {
    "onnx": onnx_first_caption,
    "transformers": transformers_first_caption,
}


def main() -> None:
    """Entry point: way, model folder, picture, tokens."""
    way, folder, picture, tokens = sys.argv[1:]
    ids = WAYS[way](Path(folder), Path(picture), int(tokens))
    print(json.dumps({"ids": ids, "peak_bytes": peak_memory()}), flush=True)


def peak_memory() -> int:
    """Peak memory of this process in bytes, including mapped files."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # ru_maxrss is never below that of the parent process.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
