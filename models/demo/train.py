"""Train the demo model from scratch: `python -m models.demo.train`. It takes about half an hour on two CPUs."""

import argparse
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.demo.architecture import IMAGE_SIZE, MEAN, STD, build_model, save_checkpoint
from models.demo.dataset import Dataset, draw_dataset, shuffled, turned
from models.demo.drawing import TRAIN_SEEDS
from models.demo.evaluate import evaluate, print_report
from models.demo.hints import Hints
from models.demo.sentences import Sentences
from models.demo.vocabulary import build_tokenizer

CHECKPOINT = Path(__file__).parent / "checkpoint"


@dataclass(frozen=True)
class Plan:
    """The parameters of a training run."""

    pictures: int = 60_000
    steps: int = 8_000
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: int = 300
    weight_decay: float = 0.05
    hint_weight: float = 0.5
    seed: int = 0


def main() -> None:
    """Draw, train, write the checkpoint, evaluate it."""
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="folder of the checkpoint, which is replaced")
    parser.add_argument("--steps", type=int, default=plan.steps)
    parser.add_argument("--pictures", type=int, default=plan.pictures)
    parser.add_argument("--seed", type=int, default=plan.seed)
    arguments = parser.parse_args()
    plan = Plan(pictures=arguments.pictures, steps=arguments.steps, seed=arguments.seed)
    started = time.monotonic()
    print(plan, flush=True)
    dataset = draw_dataset(TRAIN_SEEDS[: plan.pictures], IMAGE_SIZE, _report)
    model, tokenizer = train(plan, dataset)
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    save_checkpoint(model, tokenizer, arguments.out)
    _report(f"wrote {arguments.out} after {(time.monotonic() - started) / 60:.1f} minutes")
    print_report(evaluate(arguments.out, count=500))


def train(plan: Plan, dataset: Dataset) -> tuple[Any, Any]:
    """Train a model, and return it with its tokenizer. Seeded: the same machine and versions give the same
    weights."""
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer).train()
    vision = model.config.vision_config
    hints = Hints(vision.hidden_size, vision.image_size // vision.patch_size)
    parameters = [*model.parameters(), *hints.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan))
    sentences = Sentences(tokenizer, dataset.captions)
    # bf16 takes half the time if the CPU supports it, and much longer if it does not.
    half_precision = bool(getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)())
    progress = _Progress(plan.steps)
    for indices in shuffled(len(dataset.captions), plan.batch, plan.steps, rng):
        pixels, cells, masks = turned(rng, dataset.pixels[indices], dataset.cells[indices], dataset.masks[indices])
        inputs, labels = (torch.from_numpy(array) for array in sentences.batch(indices, rng))
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
            output = model(pixel_values=normalized(pixels), input_ids=inputs, labels=labels)
            hint = hints(
                output.last_hidden_state,
                torch.from_numpy(cells),
                torch.from_numpy(masks),
                torch.from_numpy(dataset.subjects[indices]),
            )
            loss = output.loss + plan.hint_weight * max(0.1, schedule.get_last_lr()[0] / plan.learning_rate) * hint
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        progress.step(output.loss.item(), hint.item())
    return model.eval(), tokenizer


def normalized(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Convert bytes (N, side, side, 3) to the output of BLIP's image processor (N, 3, side, side)."""
    scaled = (torch.from_numpy(pixels).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(0, 3, 1, 2).contiguous()


def _rate(step: int, plan: Plan) -> float:
    """The learning rate: a linear warm-up, then a cosine down to a hundredth."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class _Progress:
    """Prints a line every hundred steps, with their means."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done, self._started = steps, 0, time.monotonic()
        self._losses: list[tuple[float, float]] = []

    def step(self, caption_loss: float, hint_loss: float) -> None:
        self._done += 1
        self._losses.append((caption_loss, hint_loss))
        if self._done % 100 and self._done != self._steps:
            return
        caption, hint = np.mean(self._losses, axis=0)
        self._losses.clear()
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self._steps - self._done)
        _report(
            f"step {self._done:,} of {self._steps:,}, {seconds / 60:.1f} min, {left / 60:.1f} min left: "
            f"caption loss {caption:.4f}, hint loss {hint:.3f}"
        )


def _report(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
