"""Read the tensors of a `pytorch_model.bin` without torch. It is a zip archive of a pickle and raw numbers.

The file is mapped into memory and a tensor is a view of it, so that only used parts are read.
"""

import io
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from image_core.errors import ModelError
from models.torch_pickle import NotTensors, Storage, read_tensors

MAX_PICKLE_BYTES = 1_000_000
"""Maximum bytes of a pickle. BLIP-base's has 67,000."""
MAX_DIRECTORY_BYTES = 4_000_000
"""Maximum bytes of the table of contents. BLIP-base's has 0.05 MB."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and lengths of the name and of the extra field, which come between the header and the data."""
_ENCRYPTED = 1


class TorchFile:
    """Tensors by name. Everything is checked when the file is opened, so later reads cannot fail."""

    def __init__(self, path: Path) -> None:
        """Open and check the file. Raises `ModelError`, which names the file."""
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._records = _Records(path, self._map)
            self._tensors = read_tensors(self._records.pickle())
            for tensor in self._tensors.values():
                self._check(tensor.storage)
            self._check_total()
            self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        except (OSError, ValueError, NotTensors, zipfile.BadZipFile, NotImplementedError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error

    def read(self, name: str) -> NDArray[Any]:
        """A read-only view of a tensor, in the file's type."""
        tensor = self._tensors[name]
        storage = tensor.storage
        start = self._records.data[storage.key][0] + tensor.offset * storage.dtype.itemsize
        strides = [stride * storage.dtype.itemsize for stride in tensor.strides]
        return np.ndarray(tensor.shape, storage.dtype, self._map, start, strides)

    def _check(self, storage: Storage) -> None:
        _, size = self._records.data.get(storage.key, (0, -1))
        if size != storage.elements * storage.dtype.itemsize:
            raise NotTensors(
                f"its storage {storage.key[:80]!r} should have {storage.elements:,} elements of {storage.dtype}, "
                + ("but is missing" if size < 0 else f"but has {size:,} bytes")
            )

    def _check_total(self) -> None:
        """Check the total size. Tensors may share a storage, like tied weights. Many such tensors could write far
        more than was read."""
        total = sum(tensor.bytes for tensor in self._tensors.values())
        if total > 2 * len(self._map):
            raise NotTensors(f"its tensors have {total:,} bytes together, in a file of {len(self._map):,}")


class _Records:
    """The records of the archive: the pickle, and start and size in bytes of each storage by its key."""

    def __init__(self, path: Path, file: mmap.mmap) -> None:
        if not file[:4].startswith(b"PK"):
            raise NotTensors(
                "it is not a zip archive. Files that torch wrote before version 1.6 are not supported: "
                "load it with torch and save it again, or use a checkpoint with .safetensors"
            )
        self._file = file
        with _Directory(path) as directory, zipfile.ZipFile(directory) as archive:
            entries = archive.infolist()
        end = 0
        self._places: dict[str, tuple[int, int]] = {}
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            start = self._start(entry)
            if entry.header_offset < end or start + entry.file_size > len(file):
                raise NotTensors("its records overlap, or reach beyond its end")
            end = start + entry.file_size
            # Names begin with the name of the archive, which is the file's name when it was saved.
            name = entry.filename.partition("/")[2]
            if name in self._places:
                raise NotTensors(f"it has the record {name[:80]!r} twice")
            self._places[name] = start, entry.file_size
        self._require_little_endian()

    @property
    def data(self) -> dict[str, tuple[int, int]]:
        return {
            name.removeprefix("data/"): place for name, place in self._places.items() if name.startswith("data/")
        }

    def pickle(self) -> bytes:
        return self._content("data.pkl", MAX_PICKLE_BYTES)

    def _start(self, entry: zipfile.ZipInfo) -> int:
        """The offset of a record's data. Only uncompressed records can be mapped, and they cannot be zip bombs."""
        stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not stored or entry.flag_bits & _ENCRYPTED:
            raise NotTensors(f"its record {entry.filename[:80]!r} is compressed or encrypted")
        header = self._file[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise NotTensors(f"its record {entry.filename[:80]!r} has no header")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        return entry.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)

    def _require_little_endian(self) -> None:
        if "byteorder" in self._places and (order := self._content("byteorder", 16)) != b"little":
            raise NotTensors(f"its byte order is {order!r}; only little-endian files are supported")

    def _content(self, name: str, limit: int) -> bytes:
        if name not in self._places:
            raise NotTensors(f"it has no record {name!r}: torch did not write it")
        start, size = self._places[name]
        if size > limit:
            raise NotTensors(f"its record {name!r} has {size:,} bytes; the limit is {limit:,}")
        return self._file[start : start + size]


class _Directory(io.FileIO):
    """A file for `zipfile`, which reads the table of contents at once. This limits its size."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise NotTensors(f"its table of contents has {size:,} bytes; the limit is {MAX_DIRECTORY_BYTES:,}")
        return super().read(-1 if size is None else size)
