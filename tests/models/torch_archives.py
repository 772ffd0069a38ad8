"""Build `pytorch_model.bin` files by hand, so that each of their parts can be wrong."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NO_HOOKS = b"ccollections\nOrderedDict\n)R"
SIX_FLOATS = bytes.fromhex("0000803f 00000040 00004040 00008040 0000a040 0000c040")
"""1 to 6 in little-endian fp32."""


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def number(value: int) -> bytes:
    encoded = pickle.encode_long(value)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind: bytes = b"ctorch\nFloatStorage\n", key: str = "0", elements: int = 6) -> bytes:
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(elements) + b"tQ"


def tensor(
    of: bytes | None = None,
    *,
    offset: int = 0,
    shape: tuple[int, ...] = (2, 3),
    strides: tuple[int, ...] = (3, 1),
    hooks: bytes = NO_HOOKS,
    more: bytes = b"",
) -> bytes:
    arguments = (of or storage()) + number(offset) + numbers(shape) + numbers(strides) + b"\x89" + hooks + more
    return REBUILD + b"(" + arguments + b"tR"


def dictionary(**values: bytes) -> bytes:
    """Build a complete pickle: a dictionary whose values are given as instructions."""
    items = b"".join(text(name) + value + b"s" for name, value in values.items())
    return b"\x80\x02}" + items + b"."


def write_archive(
    path: Path,
    pickled: bytes | None = None,
    records: dict[str, bytes] | None = None,
    *,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write an archive with one tensor, 2 × 3, unless a pickle or other records are given."""
    content = {
        "data.pkl": dictionary(weight=tensor()) if pickled is None else pickled,
        "byteorder": b"little",
        "data/0": SIX_FLOATS,
        **(records or {}),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(f"archive/{name}", data)
    return path
