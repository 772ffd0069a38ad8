"""Hints: additional training targets for the picture encoder.

A caption carries little information: which of six shapes, which word of thirteen. Four heads, of one linear layer
each, predict the facts behind the captions: the color of each cell, the share of each color, where the shape is and
which one it is. They are discarded after training; the checkpoint is a plain BLIP.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.demo.captions import GRID
from models.demo.dataset import MASK_SIDE
from models.demo.palette import SCENE_NAMES
from models.demo.shapes import SHAPES


class Hints(nn.Module):
    """The heads on an encoder with `patches` × `patches` tokens of `width` numbers each."""

    def __init__(self, width: int, patches: int) -> None:
        super().__init__()
        self._patches = patches
        self._cells = nn.Linear(width, len(SCENE_NAMES) * (GRID // patches) ** 2)
        self._shares = nn.Linear(width, len(SCENE_NAMES))
        self._mask = nn.Linear(width, (MASK_SIDE // patches) ** 2)
        self._subject = nn.Linear(width, 1 + len(SHAPES))

    def forward(self, tokens: Tensor, cells: Tensor, masks: Tensor, subjects: Tensor) -> Tensor:
        """Return the loss. `tokens` (N, 1 + patches², width), `cells` (N, 16, 16), `masks` (N, 32, 32), `subjects`
        (N)."""
        names = len(SCENE_NAMES)
        patches, mean = tokens[:, 1:], tokens[:, 1:].mean(1)
        cell_names = self._by_patch(cells.long())
        shares = functional.one_hot(cell_names.flatten(1), names).float().mean(1)
        shape = subjects > 0
        losses = [
            functional.cross_entropy(self._cells(patches).reshape(-1, names), cell_names.flatten()),
            functional.cross_entropy(self._shares(mean), shares),
            functional.cross_entropy(self._subject(mean), subjects.long()),
        ]
        if bool(shape.any()):
            place = self._by_patch(masks.float() / 255)[shape]
            losses.append(functional.binary_cross_entropy_with_logits(self._mask(patches[shape]).float(), place))
        return torch.stack(losses).sum()

    def _by_patch(self, grid: Tensor) -> Tensor:
        """Reshape (N, side, side) to (N, patches², cells of a patch)."""
        count, side = grid.shape[0], grid.shape[1] // self._patches
        split = grid.view(count, self._patches, side, self._patches, side)
        return split.permute(0, 1, 3, 2, 4).reshape(count, self._patches**2, side * side)
