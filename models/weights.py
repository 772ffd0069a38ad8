"""The weights of a checkpoint by name, in fp32, from `.safetensors` or `pytorch_model.bin`, also in several
parts."""

import json
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from image_core.errors import ModelError
from models.torch_file import TorchFile

Floats = NDArray[np.float32]

_SINGLE = ("model.safetensors", "pytorch_model.bin")
_INDEX_SUFFIX = ".index.json"
_FLOATS = (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)


class _TensorFile(Protocol):
    """One file of tensors."""

    shapes: dict[str, tuple[int, ...]]

    def read(self, name: str) -> NDArray[Any]: ...


class Weights:
    """Tensors by name. Each is read at its first use."""

    def __init__(self, folder: Path) -> None:
        """Open the files. Raises `ModelError`, which names a file that is missing or cannot be read."""
        self.files = weight_files(folder)
        """Opened files, including the index of parts."""
        opened = [_open(path) for path in self.files if not path.name.endswith(_INDEX_SUFFIX)]
        self._homes = {name: file for file in opened for name in file.shapes}
        self.shapes = {name: shape for file in opened for name, shape in file.shapes.items()}

    def __getitem__(self, name: str) -> Floats:
        tensor = self._homes[name].read(name)
        if tensor.dtype not in _FLOATS:
            raise ModelError(f"the weight {name} consists of {tensor.dtype}, not of floating-point numbers")
        return tensor.astype(np.float32, copy=False)


def weight_files(folder: Path) -> list[Path]:
    """The files with a checkpoint's weights, safetensors if it has both kinds. Raises `ModelError`."""
    for name in _SINGLE:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}{_INDEX_SUFFIX}"
        if index.is_file():
            return [index, *_parts(index)]
    raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it has neither {' nor '.join(_SINGLE)}")


def _parts(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if not all(Path(name).name == name for name in names):
            raise ValueError("a part lies outside the folder")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read: {error}") from error
    parts = [index.parent / name for name in names]
    for part in parts:
        if not part.is_file():
            raise ModelError(f"{index.parent} is incomplete: {part.name} is missing")
    return parts


def _open(path: Path) -> _TensorFile:
    return _Safetensors(path) if path.suffix == ".safetensors" else TorchFile(path)


class _Safetensors:
    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            file: Any = safe_open(path, framework="numpy")
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error
        names: list[str] = file.keys()
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        self._file = file

    def read(self, name: str) -> NDArray[Any]:
        tensor: NDArray[Any] = self._file.get_tensor(name)
        return tensor
