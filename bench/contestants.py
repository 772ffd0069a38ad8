"""The compared implementations. Each runs in a separate process, and works only when it is its turn.

The processes are separate because the waiting thread pools of torch and ONNX Runtime would slow each other down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

Turn = Callable[[int], Any]
"""The work of one round: a function of the round's number that returns a result."""


def picture(number: int) -> Image.Image:
    """A seeded picture of 800×600 pixels."""
    colors = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((800, 600), Image.Resampling.BICUBIC)


def transformers_way(checkpoint: Path, tokens: int) -> Turn:
    """Caption the picture of the round's number with transformers."""
    caption = transformers_caption(checkpoint, tokens)
    return lambda number: caption(picture(number))


def transformers_caption(checkpoint: Path, tokens: int) -> Callable[[Image.Image], list[int]]:
    """Caption as in the documentation of transformers: a processor, a model, `generate`, in fp32 on all CPUs."""
    import torch
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    # The default image processor requires torchvision. This is the same one, based on Pillow.
    make_processor: Any = BlipProcessor
    processor = make_processor(
        BlipImageProcessorPil.from_pretrained(checkpoint), BertTokenizer.from_pretrained(checkpoint)
    )
    model: Any = BlipForConditionalGeneration.from_pretrained(checkpoint)

    def caption(image: Image.Image) -> list[int]:
        with torch.inference_mode():
            output = model.generate(**processor(image, return_tensors="pt"), max_new_tokens=tokens)
        return [int(one) for one in output[0]]

    return caption


def onnx_way(exported: Path, tokens: int) -> Turn:
    """Caption with our engine, like the pipeline."""
    from image_processor.captioning.onnx_captioner import OnnxCaptioner

    captioner = OnnxCaptioner(exported, prompt="", max_new_tokens=tokens, may_repeat=True)
    return lambda number: captioner.caption_ids(picture(number))


class Contestant:
    """A process that has created its `Turn` from `factory` and `arguments`, and waits for commands."""

    def __init__(self, factory: Callable[..., Turn], *arguments: Any, warm: bool = True) -> None:
        """`warm`: start with a turn that is not counted."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, factory, arguments), daemon=True)
        self._process.start()
        self._warm = warm

    def __enter__(self) -> Self:
        if self._warm:
            self.turn(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send(None)
        self._process.join()

    def turn(self, number: int) -> tuple[float, Any]:
        """Run one round, and return its seconds and its result."""
        self._pipe.send(number)
        result: tuple[float, Any] = self._pipe.recv()
        return result


def _work(pipe: Any, factory: Callable[..., Turn], arguments: tuple[Any, ...]) -> None:
    turn = factory(*arguments)
    while (number := pipe.recv()) is not None:
        started = time.perf_counter()
        result = turn(number)
        pipe.send((time.perf_counter() - started, result))
        time.sleep(0.05)
