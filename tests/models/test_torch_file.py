"""Read `pytorch_model.bin` without torch: the same tensors as torch reads, and nothing else."""

from __future__ import annotations

import builtins
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image_core.errors import ModelError
from models.torch_file import MAX_DIRECTORY_BYTES, MAX_PICKLE_BYTES, TorchFile
from models.torch_pickle import GLOBALS
from tests.models.torch_archives import (
    NO_HOOKS,
    REBUILD,
    SIX_FLOATS,
    dictionary,
    numbers,
    storage,
    tensor,
    text,
    write_archive,
)
from tests.with_torch import torch_or_skip


def refused(path: Path) -> str:
    """Return the reason why a file is refused."""
    with pytest.raises(ModelError) as caught:
        TorchFile(path)
    prefix, reason = str(caught.value).split(": ", 1)
    assert prefix == f"{path} cannot be read"
    return reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pytorch_model.bin"


# Files that torch writes


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
def test_tensors_of_every_type_equal_those_of_torch(path: Path, kind: str) -> None:
    torch = torch_or_skip()
    values = (torch.arange(24).reshape(2, 3, 4) - 7).to(getattr(torch, kind))
    state = {"whole": values, "turned": values.permute(2, 0, 1), "part": values[:, 1:, ::2], "one": values[1, 2, 3]}
    torch.save(state, path)

    file = TorchFile(path)

    expected = torch.load(path, weights_only=True)
    assert {name: tuple(one.shape) for name, one in expected.items()} == file.shapes
    for name, one in expected.items():
        read = file.read(name)
        assert str(read.dtype) == kind
        assert np.array_equal(read.astype(np.float64), one.double().numpy()), name


def test_a_models_state_with_version_metadata_is_read(path: Path) -> None:
    torch = torch_or_skip()
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    state = model.state_dict()
    assert isinstance(state, OrderedDict) and state._metadata  # type: ignore[attr-defined]
    torch.save(state, path)

    file = TorchFile(path)

    assert {name: file.read(name).tolist() for name in file.shapes} == {k: v.tolist() for k, v in state.items()}


def test_tied_weights_share_their_memory(path: Path) -> None:
    torch = torch_or_skip()
    words = torch.ones(100, 10)
    torch.save({"words": words, "head": words}, path)

    file = TorchFile(path)

    assert np.shares_memory(file.read("words"), file.read("head"))


def test_a_file_written_by_hand_is_read(path: Path) -> None:
    file = TorchFile(write_archive(path, dictionary(weight=tensor(), turned=tensor(shape=(3, 2), strides=(1, 3)))))

    assert file.shapes == {"weight": (2, 3), "turned": (3, 2)}
    assert file.read("weight").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert file.read("turned").tolist() == [[1, 4], [2, 5], [3, 6]]


def test_a_file_without_a_byte_order_is_little_endian_as_before_torch_2(path: Path) -> None:
    write_archive(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if "byteorder" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)

    assert TorchFile(path).read("weight").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_tensors_cannot_be_written_to(path: Path) -> None:
    read = TorchFile(write_archive(path)).read("weight")

    with pytest.raises(ValueError, match="read-only"):
        read[0, 0] = 7


def test_only_the_requested_tensors_are_read(path: Path) -> None:
    elements = 2_000_000
    pickled = dictionary(
        large=tensor(storage(key="1", elements=elements), shape=(elements,), strides=(1,)), small=tensor()
    )
    write_archive(path, pickled, {"data/1": bytes(4 * elements)})
    tracemalloc.start()
    try:
        assert TorchFile(path).read("small").sum() == 21
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# Pickles that run code


class Runs:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("what", ["system", "eval", "nested", "inside a tensor's arguments"])
def test_code_is_refused_and_not_run(path: Path, tmp_path: Path, protocol: int, what: str) -> None:
    marker = tmp_path / "marker"
    command = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    hostile: Any = {
        "system": Runs(os.system, f"touch '{marker}'"),
        "eval": {"weight": Runs(builtins.eval, command)},
        "nested": Runs(getattr, Runs(builtins.__import__, "os"), Runs(builtins.eval, f"({command}, 'name')[1]")),
        "inside a tensor's arguments": {"weight": (Runs(builtins.exec, command), 0, (1,), (1,), False)},
    }[what]
    pickled = pickle.dumps(hostile, protocol)

    reason = refused(write_archive(path, pickled))

    assert not marker.exists()
    assert "names 'posix.system'" in reason or "builtin" in reason or "instruction" in reason
    pickle.loads(pickled)
    assert marker.exists(), "the pickle was harmless, so refusing it would prove nothing"


@pytest.mark.parametrize(
    "name",
    [
        b"os\nsystem\n",
        b"posix\nsystem\n",
        b"builtins\neval\n",
        b"torch\nload\n",
        b"torch._utils\n_rebuild_parameter\n",
        b"torch._utils\n_import_dotted_name\n",
        b"torch._utils\nos.system\n",
        b"collections\nnamedtuple\n",
        b"collections.OrderedDict\n__class__\n",
        b"torch FloatStorage\n\n",
        "torch\nFloatStоrage\n".encode(),  # a Cyrillic letter
    ],
)
def test_names_that_are_not_on_the_list_are_refused(path: Path, name: bytes) -> None:
    reason = refused(write_archive(path, dictionary(weight=b"c" + name)))

    assert "it names " in reason or "pickle is damaged" in reason


def test_the_list_of_names_is_short() -> None:
    assert len(GLOBALS) == 12
    assert {name.partition(" ")[0] for name in GLOBALS} == {"collections", "torch", "torch._utils"}


ORDERED_DICT = b"ccollections\nOrderedDict\n"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"ctorch\nFloatStorage\n", "entry 'weight' is not a tensor"),
        (REBUILD, "entry 'weight' is not a tensor"),
        (ORDERED_DICT + b")R", "entry 'weight' is not a tensor"),
        (text("words"), "entry 'weight' is not a tensor"),
        (b"N", "entry 'weight' is not a tensor"),
        (b"ctorch\nFloatStorage\n)R", "calls something that does not make a tensor"),
        (tensor() + b")R", "calls something that does not make a tensor"),
        (text("os.system") + b")R", "calls something that does not make a tensor"),
        (ORDERED_DICT + text("x") + b"\x85R", "calls something that does not make a tensor"),
        (REBUILD + b")R", "describes a tensor in an unknown way"),
        (REBUILD + b"}R", "calls something that does not make a tensor"),
        (tensor(more=b"N"), "describes a tensor in an unknown way"),
        (tensor(text("no storage")), "describes a tensor in an unknown way"),
        (tensor(hooks=b"}" + text("hook") + b"K\x01s"), "hooks"),
        (tensor() + b"}b", "changes something that is not a dictionary"),
        (tensor() + text("state") + b"b", "sets a state that is not a dictionary"),
        (tensor() + text("key") + b"K\x01s", "changes something that is not a dictionary"),
        (ORDERED_DICT + b"}b", "changes something that is not a dictionary"),
        (text("\x00persistent") + b"Q", "describes a storage in an unknown way"),
        (storage(kind=text("FloatStorage")), "describes a storage in an unknown way"),
        (storage(kind=REBUILD), "describes a storage in an unknown way"),
        (storage(elements=-6), "describes a storage in an unknown way"),
        (storage(elements=1 << 70), "describes a storage in an unknown way"),
        (storage()[:-2] + text("view") + b"tQ", "describes a storage in an unknown way"),
    ],
)
def test_instructions_that_do_not_make_a_tensor_are_refused(path: Path, value: bytes, reason: str) -> None:
    assert reason in refused(write_archive(path, dictionary(weight=value)))


@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        (b"\x8c\x02os\x8c\x06system\x93", "SHORT_BINUNICODE"),
        (text("os") + text("system") + b"\x93", "STACK_GLOBAL"),
        (b"(S'ls'\nios\nsystem\n", "STRING"),
        (b"(ios\nsystem\n", "INST"),
        (b"(cos\nsystem\no", "GLOBAL|names 'os.system'"),
        (b"})\x81", "NEWOBJ"),
        (b"\x82\x01", "EXT1"),
        (b"Pname\n", "PERSID"),
        (b"]", "EMPTY_LIST"),
        (b"I5\n", "INT"),
        (b"\x96" + struct.pack("<Q", 4) + b"four", "BYTEARRAY8"),
    ],
)
def test_instructions_that_torch_does_not_write_are_refused(path: Path, instructions: bytes, name: str) -> None:
    reason = refused(write_archive(path, dictionary(weight=instructions)))

    assert any(one in reason for one in name.split("|"))


# Values out of bounds


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"offset": 1}, "beyond the end of its storage"),
        ({"offset": -1}, "not natural numbers"),
        ({"offset": 1 << 62}, "beyond the end of its storage"),
        ({"offset": 1 << 64}, "not natural numbers"),
        ({"shape": (2, 4)}, "beyond the end of its storage"),
        ({"shape": (-2, -3)}, "not natural numbers"),
        ({"shape": (1 << 40, 1 << 40), "strides": (0, 0)}, "beyond the end of its storage"),
        ({"shape": (7,), "strides": (0,)}, "beyond the end of its storage"),
        ({"shape": (0, 3)}, "without elements"),
        ({"shape": (6,), "strides": (1, 1)}, "1 dimensions and 2 strides"),
        ({"shape": (1,) * 9, "strides": (1,) * 9}, "9 dimensions"),
        ({"strides": (4, 1)}, "beyond the end of its storage"),
        ({"strides": (-3, 1)}, "not natural numbers"),
        ({"strides": (1 << 62, 1 << 62)}, "beyond the end of its storage"),
    ],
)
def test_a_tensor_stays_within_its_storage(path: Path, wrong: dict[str, Any], reason: str) -> None:
    assert reason in refused(write_archive(path, dictionary(weight=tensor(**wrong))))


def test_true_or_a_text_is_not_accepted_as_a_size(path: Path) -> None:
    for size in (b"\x88", text("2"), b"N"):
        value = REBUILD + b"(" + storage() + b"K\x00" + size + b"\x85" + numbers((1,)) + b"\x89" + NO_HOOKS + b"tR"
        assert "not natural numbers" in refused(write_archive(path, dictionary(weight=value)))


def test_the_stride_of_a_single_row_is_arbitrary(path: Path) -> None:
    file = TorchFile(write_archive(path, dictionary(weight=tensor(shape=(1, 6), strides=(1 << 62, 1)))))

    assert file.read("weight").tolist() == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    ("described", "data", "reason"),
    [
        (storage(), SIX_FLOATS[:-1], "has 23 bytes"),
        (storage(), SIX_FLOATS + b"\0", "has 25 bytes"),
        (storage(kind=b"ctorch\nDoubleStorage\n"), SIX_FLOATS, "6 elements of float64, but has 24 bytes"),
        (storage(key="1"), SIX_FLOATS, "'1' should have 6 elements of float32, but is missing"),
        (storage(key="../data.pkl"), SIX_FLOATS, "is missing"),
        (storage(elements=1 << 50), SIX_FLOATS, "has 24 bytes"),
    ],
)
def test_a_storage_has_the_declared_size(path: Path, described: bytes, data: bytes, reason: str) -> None:
    assert reason in refused(write_archive(path, dictionary(weight=tensor(described)), {"data/0": data}))


def test_many_tensors_of_one_storage_are_refused(path: Path) -> None:
    elements = 10_000
    of = tensor(storage(elements=elements), shape=(elements,), strides=(1,))
    pickled = b"\x80\x02}" + text("a") + of + b"q\x00s"
    pickled += b"".join(text(f"copy {i}") + b"h\x00s" for i in range(50)) + b"."

    assert "bytes together" in refused(write_archive(path, pickled, {"data/0": bytes(4 * elements)}))


def test_a_duplicate_name_is_refused(path: Path) -> None:
    pickled = b"\x80\x02}(" + (text("weight") + tensor()) * 2 + b"u."

    assert "'weight' twice" in refused(write_archive(path, pickled))


# Files that would need much memory or time


def memo_bomb() -> bytes:
    """Build a pickle for which C's unpickler would create a table of 2³² values, 32 GB."""
    return b"\x80\x02Nr\xff\xff\xff\xff."


def nested_key(depth: int = 90) -> bytes:
    """Build a key whose hash takes 2⁹⁰ steps."""
    return b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth)) + b"K\x02s."


def nested_value(depth: int = 90) -> bytes:
    """Build a value with 2⁹⁰ parts, which nothing may print or compare."""
    return dictionary(weight=b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth)))


@pytest.mark.parametrize(
    "pickled",
    [
        memo_bomb(),
        nested_key(),
        nested_value(),
        dictionary(weight=b"K\x01" + b"\x85" * 100_000),
        dictionary(weight=REBUILD + nested_value()[13:-2] + b"R"),
        b"\x80\x04\x95" + b"\xff" * 8 + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02" + b"}" * 100_000 + b".",
    ],
    ids=lambda pickled: repr(pickled[:12]),
)
def test_bombs_need_neither_memory_nor_time(path: Path, pickled: bytes) -> None:
    write_archive(path, pickled)
    tracemalloc.start()
    try:
        refused(path)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_records_are_refused(path: Path, method: int) -> None:
    assert "compressed" in refused(write_archive(path, records={"data/0": bytes(1_000_000)}, compression=method))


def test_a_huge_pickle_is_refused(path: Path) -> None:
    assert "the limit is" in refused(write_archive(path, b"N" * (MAX_PICKLE_BYTES + 1)))


def test_a_huge_table_of_contents_is_refused(path: Path) -> None:
    write_archive(path)
    with zipfile.ZipFile(path, "a") as archive:
        for i in range(MAX_DIRECTORY_BYTES // 60_000 + 1):
            entry = zipfile.ZipInfo(f"archive/data/more{i}")
            entry.comment = bytes(60_000)
            archive.writestr(entry, b"")

    assert "table of contents" in refused(path)


# Other kinds of files


def test_the_error_for_a_file_from_before_torch_1_6_says_what_to_do(path: Path) -> None:
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))

    reason = refused(path)

    assert "before version 1.6" in reason
    assert ".safetensors" in reason


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(100), b"\x00" * 1000])
def test_a_file_of_something_else_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    refused(path)


def test_another_byte_order_is_refused(path: Path) -> None:
    assert "byte order is b'big'" in refused(write_archive(path, records={"byteorder": b"big"}))


def test_a_duplicate_record_is_refused(path: Path) -> None:
    write_archive(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data/0", SIX_FLOATS)

    assert "'data/0' twice" in refused(path)


def test_an_archive_without_a_pickle_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/code.py", "")

    assert "no record 'data.pkl'" in refused(path)


def test_records_that_overlap_are_refused(path: Path) -> None:
    write_archive(path)
    content = bytearray(path.read_bytes())
    # Both entries of the table of contents refer to the same local header.
    entries = [i for i in range(len(content)) if content[i : i + 4] == b"PK\x01\x02"]
    content[entries[2] + 42 : entries[2] + 46] = content[entries[1] + 42 : entries[1] + 46]
    path.write_bytes(content)

    assert "overlap" in refused(path)


@pytest.mark.parametrize(
    "pickled", [b"", b"\x80\x02", b"\x80\x02}", b"\x80\x02.", b"\x80\x02N.", b"\x80\x02}}.", b"hello"]
)
def test_a_truncated_or_foreign_pickle_is_refused(path: Path, pickled: bytes) -> None:
    refused(write_archive(path, pickled))


@pytest.mark.parametrize(
    "instruction", [b"s", b"u", b"t", b"\x87", b"R", b"b", b"Q", b"q\x00", b"h\x09", b"(u", b"K\x01(s"]
)
def test_an_instruction_without_its_operand_is_refused(path: Path, instruction: bytes) -> None:
    refused(write_archive(path, b"\x80\x02" + instruction + b"."))


def test_files_with_bytes_changed_are_read_or_refused(path: Path) -> None:
    write_archive(path, dictionary(weight=tensor(), other=tensor(storage(key="1"))), {"data/1": SIX_FLOATS})
    whole = path.read_bytes()
    rng = random.Random(5)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(1_500):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 5))):
            content[rng.randrange(len(content))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        path.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.05 else content)
        try:
            file = TorchFile(path)
            for name in file.shapes:
                file.read(name).copy()
            outcomes["read"] += 1
        except ModelError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes
