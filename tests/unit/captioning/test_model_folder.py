"""Model folders: what makes one valid, and the errors for invalid ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_core.errors import ModelError
from image_processor.captioning.model_folder import (
    MANIFEST_NAME,
    Manifest,
    TokenIds,
    read_manifest,
    verify_checksums,
)
from models.manifest import weights_revision, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, one of them in a subfolder, and a model.json that describes them."""
    folder = tmp_path / "some model"
    (folder / "graphs").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x00\x01" * 500)
    (folder / "graphs" / "decoder.bin").write_bytes(b"graph")
    write(folder)
    return folder


def write(folder: Path) -> Manifest:
    return write_manifest(
        folder,
        name="some/model",
        revision="abc",
        license="MIT",
        prompt="a photo of",
        image_size=64,
        token_ids=TokenIds(bos=5, eos=3, pad=0),
        max_new_tokens=20,
    )


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / MANIFEST_NAME).read_text())
    change(content)
    (folder / MANIFEST_NAME).write_text(json.dumps(content))


def test_a_written_folder_reads_back_and_verifies(folder: Path) -> None:
    manifest = verify_checksums(folder)
    assert manifest == read_manifest(folder)
    assert manifest.model == "some/model@abc"
    assert {name: entry.bytes for name, entry in manifest.files.items()} == {
        "graphs/decoder.bin": 5,
        "weights.bin": 1000,
    }


def test_a_rewritten_manifest_does_not_list_itself(folder: Path) -> None:
    assert write(folder) == read_manifest(folder)


def test_the_revision_depends_only_on_the_weights(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_bytes(b"1")
    second.write_bytes(b"1")
    third.write_bytes(b"2")
    assert weights_revision(first) == weights_revision(second) != weights_revision(third)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere does not exist"):
        read_manifest(tmp_path / "nowhere")


def test_a_folder_without_model_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{tmp_path.name} is not a model folder"):
        read_manifest(tmp_path)


def test_a_missing_file_is_named_with_its_folder(folder: Path) -> None:
    (folder / "graphs" / "decoder.bin").unlink()
    with pytest.raises(ModelError, match=r"some model is incomplete: graphs/decoder\.bin is missing"):
        read_manifest(folder)


def test_a_half_copied_file_is_found_without_reading_it(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"\x00\x01" * 250)
    with pytest.raises(ModelError, match=r"some model is incomplete: weights\.bin has 500 bytes instead of 1,000"):
        read_manifest(folder)


def test_changed_bytes_of_the_same_length_fail_the_checksums_alone(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"\x00\x02" * 500)
    read_manifest(folder)
    with pytest.raises(ModelError, match=r"some model.weights\.bin is damaged"):
        verify_checksums(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("license"), "license: Field required"),
        (lambda content: content.update(image_size="big"), "image_size"),
        (lambda content: content.update(color="red"), "color"),
        (lambda content: content.update(files={}), "files"),
        (lambda content: content["token_ids"].pop("bos"), r"token_ids\.bos"),
        (lambda content: content["files"]["weights.bin"].update(sha256="f00"), "sha256"),
        (lambda content: content["files"].update({"../secret": content["files"]["weights.bin"]}), "inside"),
        (lambda content: content["files"].update({"/etc/passwd": content["files"]["weights.bin"]}), "inside"),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_field(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change)
    with pytest.raises(ModelError, match=rf"some model.model\.json is not valid: .*{message}"):
        read_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_not_a_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ModelError, match=r"some model.model\.json is not valid"):
        read_manifest(folder)
