"""Read the pickle inside a `pytorch_model.bin`, which may contain only a dictionary of tensors.

This runs the few instructions that `torch.save` writes for one. Nothing in the file is imported or called, and no
instruction takes more than a few bytes of memory, see docs/decisions/0025-reading-torch-files.md.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

MAX_DIMENSIONS = 8

_DTYPES: dict[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype(np.float64),
    "torch FloatStorage": np.dtype(np.float32),
    "torch HalfStorage": np.dtype(np.float16),
    "torch BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch LongStorage": np.dtype(np.int64),
    "torch IntStorage": np.dtype(np.int32),
    "torch ShortStorage": np.dtype(np.int16),
    "torch CharStorage": np.dtype(np.int8),
    "torch ByteStorage": np.dtype(np.uint8),
    "torch BoolStorage": np.dtype(np.bool_),
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD = "torch._utils _rebuild_tensor_v2"
GLOBALS = frozenset({_ORDERED_DICT, _REBUILD, *_DTYPES})
"""All names that a pickle may contain. None of them is imported."""


class NotTensors(Exception):
    """The pickle is damaged, or is not a dictionary of tensors. The message says why."""


@dataclass(frozen=True)
class Storage:
    """A record of the archive: `elements` numbers of `dtype`."""

    key: str
    dtype: np.dtype[Any]
    elements: int


@dataclass(frozen=True)
class StoredTensor:
    """The position of a tensor in its storage. Offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return _product(self.shape) * self.storage.dtype.itemsize


@dataclass(frozen=True)
class _Global:
    name: str


def read_tensors(pickle: bytes) -> dict[str, StoredTensor]:
    """The tensors in a pickle, by name. Raises only `NotTensors`."""
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(pickle):
            machine.run(instruction.name, argument)
    except (ValueError, IndexError) as error:  # incomplete, or not a pickle
        raise NotTensors(f"its pickle is damaged ({error})") from error
    return machine.result()


class _Machine:
    """The pickle machine: a stack, marks on it, and a memo of values by number."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        step = _INSTRUCTIONS.get(name)
        if step is None:
            raise NotTensors(f"its pickle uses the instruction {name}, which no dictionary of tensors needs")
        step(self, argument)

    def result(self) -> dict[str, StoredTensor]:
        if len(self._stack) != 1 or not isinstance(self._stack[0], dict):
            raise NotTensors("it does not contain a dictionary")
        tensors: dict[str, StoredTensor] = self._stack[0]
        for name, value in tensors.items():
            if not isinstance(value, StoredTensor):
                raise NotTensors(f"its entry {name[:80]!r} is not a tensor")
        return tensors

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise NotTensors("its pickle is damaged (a value is missing)")
        return self._stack.pop()

    def mark(self, _: object) -> None:
        self._marks.append(len(self._stack))

    def tuple_from_mark(self, _: object) -> None:
        self.push(tuple(self._pop_to_mark()))

    def tuple_of(self, count: int) -> None:
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def memoize(self, number: int) -> None:
        value = self.pop()
        self._memo[number] = value
        self.push(value)

    def recall(self, number: int) -> None:
        if number not in self._memo:
            raise NotTensors("its pickle is damaged (a memo is missing)")
        self.push(self._memo[number])

    def push_global(self, name: str) -> None:
        if name not in GLOBALS:
            raise NotTensors(f"it names {name[:120].replace(' ', '.')!r}, which is code and not a tensor")
        self.push(_Global(name))

    def reduce(self, _: object) -> None:
        arguments, function = self.pop(), self.pop()
        if function == _Global(_ORDERED_DICT) and arguments == ():
            self.push({})
        elif function == _Global(_REBUILD) and isinstance(arguments, tuple):
            self.push(_tensor(arguments))
        else:
            raise NotTensors("its pickle calls something that does not make a tensor")

    def build(self, _: object) -> None:
        """Drop the attributes of a state dictionary (`_metadata`)."""
        if not isinstance(self.pop(), dict):
            raise NotTensors("its pickle sets a state that is not a dictionary")
        self._target()

    def load_storage(self, _: object) -> None:
        self.push(_storage(self.pop()))

    def set_item(self, _: object) -> None:
        value, key = self.pop(), self.pop()
        self._put(key, value)

    def set_items(self, _: object) -> None:
        items = self._pop_to_mark()
        if len(items) % 2:
            raise NotTensors("its pickle is damaged (a value is missing)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._put(key, value)

    def _put(self, key: Any, value: Any) -> None:
        target = self._target()
        if type(key) is not str:
            raise NotTensors("its pickle has a dictionary with keys that are not text")
        if key in target:
            raise NotTensors(f"its pickle has {key[:80]!r} twice")
        target[key] = value

    def _target(self) -> dict[str, Any]:
        """The dictionary on top of the stack. It is not popped."""
        target = self.pop()
        if not isinstance(target, dict):
            raise NotTensors("its pickle changes something that is not a dictionary")
        self.push(target)
        return target

    def _pop_to_mark(self) -> list[Any]:
        if not self._marks:
            raise NotTensors("its pickle is damaged (a mark is missing)")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items


def _push_constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


def _do_nothing(_: _Machine, __: object) -> None:
    pass


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _do_nothing,
    "STOP": _do_nothing,  # `genops` ends there
    "MARK": _Machine.mark,
    "NONE": _push_constant(None),
    "NEWTRUE": _push_constant(True),
    "NEWFALSE": _push_constant(False),
    "BININT": _Machine.push,
    "BININT1": _Machine.push,
    "BININT2": _Machine.push,
    "LONG1": _Machine.push,
    "BINUNICODE": _Machine.push,
    "EMPTY_TUPLE": _push_constant(()),
    "TUPLE": _Machine.tuple_from_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.push_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.load_storage,
}


def _storage(described: Any) -> Storage:
    """Create a storage from the tuple of `torch.save`: ("storage", type, key, device, number of elements)."""
    match described:
        case ("storage", _Global(name), str(key), str(), elements) if name in _DTYPES and _is_count(elements):
            return Storage(key, _DTYPES[name], elements)
        case _:
            raise NotTensors("its pickle describes a storage in an unknown way")


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    """Create a tensor from the arguments of `_rebuild_tensor_v2`: storage, offset, shape, strides, requires_grad,
    hooks."""
    match arguments:
        case (Storage() as storage, offset, tuple(shape), tuple(strides), bool(), dict(hooks)):
            pass
        case _:
            raise NotTensors("its pickle describes a tensor in an unknown way")
    if hooks:
        raise NotTensors("it has a tensor with hooks, which are code")
    if not all(map(_is_count, (offset, *shape, *strides))):
        raise NotTensors("it has a tensor whose offset, shape or strides are not natural numbers")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise NotTensors(f"it has a tensor of {len(shape)} dimensions and {len(strides)} strides")
    if 0 in shape:
        raise NotTensors("it has a tensor without elements")
    # A stride of 0 could give one number any shape. A tensor must not have more elements than its storage.
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if _product(shape) > storage.elements or last >= storage.elements:
        raise NotTensors(
            f"it has a tensor of shape {shape} beyond the end of its storage of {storage.elements:,} elements"
        )
    # If there is only one row, its stride is arbitrary.
    steps = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return StoredTensor(storage, offset, shape, steps)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
