"""Exports of any size and layout give the same tokens as the checkpoint. A failed export leaves no folder."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning.model_folder import MANIFEST_NAME, FileEntry, read_manifest, verify_checksums
from image_processor.captioning.onnx_captioner import OnnxCaptioner
from models.export import Origin, export, main, origin_of
from models.parity import Comparison, compare, sample_pictures
from models.pictures import Compared
from models.random_checkpoint import BASE, write_random_checkpoint
from models.reference import Reference
from tests.models.checkpoints import EXPORT_WITHOUT_TORCH, HUB_LAYOUT, edit_weights, edited
from tests.with_torch import torch_or_skip, transformers_or_skip

REPOSITORY_ROOT = Path(__file__).parents[2]
DEMO = REPOSITORY_ROOT / "models" / "demo"
FEW_PICTURES = Compared(drawn=3, packaged=False)

OTHER_SHAPES = {
    "odd widths": replace(
        HUB_LAYOUT, image_size=42, patch_size=14, vision_width=72, vision_inner=100, vision_heads=3,
        text_width=48, text_inner=80, text_heads=2, text_layers=1,
    ),
    "wide picture, narrow text, as in large": replace(
        HUB_LAYOUT, image_size=64, vision_width=256, vision_inner=512, vision_heads=4, vision_layers=4
    ),
    "few positions": replace(HUB_LAYOUT, max_positions=32, vision_layers=1),
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "exported"
    assert main(["--from", str(checkpoint), "--to", str(folder), "--license", "BSD-3-Clause"]) == 0
    return folder


def report(capsys: pytest.CaptureFixture[str], name: str, comparison: Comparison) -> None:
    with capsys.disabled():
        print(f"\n  {name}: {comparison}")


def test_a_checkpoint_in_the_hubs_layout_gives_the_same_tokens_as_transformers(
    checkpoint: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(path.name for path in checkpoint.iterdir()) == [
        "config.json",
        "preprocessor_config.json",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]

    comparison = compare(Reference(checkpoint), exported, sample_pictures(20), ["", "a photo of"])

    report(capsys, "hub layout", comparison)
    assert comparison.captions == 40
    assert comparison.close, str(comparison)


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_a_checkpoint_of_any_shape_gives_the_same_tokens_as_transformers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers_or_skip()
    source, target = tmp_path / "checkpoint", tmp_path / "exported"
    write_random_checkpoint(source, OTHER_SHAPES[name], seed=3, weights="safetensors")

    export(source, target, Origin("random", "0", "none"))

    comparison = compare(Reference(source), target, sample_pictures(6), ["", "a photo of"])
    report(capsys, name, comparison)
    assert comparison.close, str(comparison)


@pytest.mark.slow
def test_a_checkpoint_of_the_real_size_gives_the_same_tokens_as_transformers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers_or_skip()
    source, target = tmp_path / "checkpoint", tmp_path / "exported"
    write_random_checkpoint(source, BASE)
    export(source, target, Origin("random", "0", "none"))

    comparison = compare(Reference(source), target, sample_pictures(20, side=400), ["", "a photo of"])

    report(capsys, "BLIP-base", comparison)
    assert comparison.captions == 40
    assert comparison.close, str(comparison)


def test_the_folder_describes_the_model(checkpoint: Path, exported: Path) -> None:
    manifest = verify_checksums(exported)

    assert manifest.name == "blip"
    assert manifest.license == "BSD-3-Clause"
    assert (manifest.token_ids.bos, manifest.token_ids.eos, manifest.token_ids.pad) == (30_522, 102, 0)
    assert manifest.image_size == 96
    assert manifest.graphs is not None
    assert manifest.graphs.vocabulary == 30_524
    assert manifest.graphs.max_positions == 512
    assert set(manifest.files) == {path.name for path in exported.iterdir()} - {MANIFEST_NAME}


def test_weights_are_stored_once(checkpoint: Path, exported: Path) -> None:
    weights = sum(path.stat().st_size for path in exported.glob("*.weights"))

    # The checkpoint's file contains the tied table only once, under two names. Page boundaries add up to 4 KiB for
    # each tensor.
    assert weights < (checkpoint / "pytorch_model.bin").stat().st_size + 100 * 4096


def test_the_demo_models_export_matches_its_checkpoint(tmp_path: Path) -> None:
    fresh = export(DEMO / "checkpoint", tmp_path / "demo", origin_of(DEMO / "checkpoint"))

    committed = verify_checksums(DEMO / "exported")
    assert committed.model == fresh.model, "run `python -m models.export` on the demo model again"
    assert committed.files == fresh.files
    assert sum(entry.bytes for entry in committed.files.values()) < 8_000_000


def test_a_separate_table_for_the_head_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    source = edited(
        checkpoint, tmp_path, config=lambda config: config["text_config"].update(tie_word_embeddings=False)
    )
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    edit_weights(source, lambda state: state["text_decoder.cls.predictions.decoder.weight"].mul_(-0.7))

    export(source, tmp_path / "exported", Origin("untied", "0", "none"))

    assert (tmp_path / "exported" / "decoder.weights").stat().st_size > 2 * 30_524 * 128 * 4


def test_an_empty_caption_has_a_reason(checkpoint: Path, tmp_path: Path) -> None:
    source = edited(checkpoint, tmp_path)

    def always_ends(state: dict[str, Any]) -> None:
        for name in ("bias", "decoder.bias"):
            state[f"text_decoder.cls.predictions.{name}"][102] = 1e4

    edit_weights(source, always_ends)
    export(source, tmp_path / "exported", Origin("silent", "0", "none", prompt="a photo of"))

    captioner = OnnxCaptioner(tmp_path / "exported")

    caption = captioner.caption(Image.new("RGB", (40, 30), "blue"))
    assert caption.text is None
    assert caption.reason
    assert captioner.caption_ids(Image.new("RGB", (40, 30))) == [30_522, 142, 172, 173, 102]


def test_an_export_replaces_the_previous_one_and_leaves_no_other_files(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "exported"
    target.mkdir(parents=True)
    (target / ".gitkeep").touch()
    (target / "encoder.onnx").write_text("old")

    export(checkpoint, target, Origin("new", "1", "none"))

    assert verify_checksums(target).model == "new@1"
    assert (target / ".gitkeep").exists()
    assert list(target.parent.iterdir()) == [target]


def test_verifying_compares_with_transformers(
    checkpoint: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verified = export(
        checkpoint, tmp_path / "exported", Origin("blip", "1", "none"), verify=True, compared=FEW_PICTURES
    )

    assert "6 of 6 captions identical token by token" in capsys.readouterr().out
    assert verified.agreement is not None
    assert (verified.agreement.reference, verified.agreement.pictures) == ("transformers", {"drawn": 3})
    assert (verified.agreement.identical_captions, verified.agreement.equal_tokens) == (1, 1)
    assert verified.files == read_manifest(exported).files


def test_graphs_of_other_weights_are_detected(checkpoint: Path, exported: Path, tmp_path: Path) -> None:
    source = edited(checkpoint, tmp_path)
    edit_weights(source, lambda state: state["vision_model.post_layernorm.weight"].mul_(1.01))

    assert not compare(Reference(source), exported, sample_pictures(1)).close


def test_the_checksums_of_the_checkpoints_files_are_recorded(checkpoint: Path, exported: Path) -> None:
    recorded = read_manifest(exported).checkpoint

    assert recorded == {
        path.name: FileEntry(bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in checkpoint.iterdir()
    }


def as_safetensors(folder: Path) -> None:
    """Rewrite the weights without the tied ones, as transformers does."""
    torch = torch_or_skip()
    from safetensors.torch import save_file

    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    tied = "text_decoder.cls.predictions.decoder."
    kept = {name: value for name, value in state.items() if not name.startswith(tied)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def as_parts(folder: Path) -> None:
    """Split the weights into two files and an index."""
    torch = torch_or_skip()
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    home = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(state)}
    for part in set(home.values()):
        torch.save({name: value for name, value in state.items() if home[name] == part}, folder / part)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": home}))


@pytest.mark.parametrize("rewrite", [as_safetensors, as_parts])
def test_all_kinds_of_weight_files_give_the_same_export(
    checkpoint: Path, exported: Path, tmp_path: Path, rewrite: Callable[[Path], None]
) -> None:
    source = edited(checkpoint, tmp_path)
    rewrite(source)

    assert export(source, tmp_path / "exported", Origin("same", "0", "none")).files == read_manifest(exported).files


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("rewrite", [lambda _: None, as_safetensors], ids=["bin", "safetensors"])
def test_weights_of_another_precision_become_fp32(
    checkpoint: Path, tmp_path: Path, kind: str, rewrite: Callable[[Path], None]
) -> None:
    torch, source = torch_or_skip(), edited(checkpoint, tmp_path)
    state = torch.load(source / "pytorch_model.bin", weights_only=True)
    torch.save(
        {name: value.to(getattr(torch, kind)) for name, value in state.items()}, source / "pytorch_model.bin"
    )
    rewrite(source)

    export(source, tmp_path / "exported", Origin(kind, "0", "none"), verify=True, compared=FEW_PICTURES)


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", EXPORT_WITHOUT_TORCH, *arguments],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("rewrite", [lambda _: None, as_safetensors], ids=["bin", "safetensors"])
def test_torch_and_transformers_need_not_be_installed(
    checkpoint: Path, exported: Path, tmp_path: Path, rewrite: Callable[[Path], None]
) -> None:
    source = edited(checkpoint, tmp_path)
    rewrite(source)

    output = without_torch("--from", str(source), "--to", str(tmp_path / "exported"))

    assert output.returncode == 0, output.stderr
    assert verify_checksums(tmp_path / "exported").files == read_manifest(exported).files


def test_verifying_without_torch_names_the_missing_packages(checkpoint: Path, tmp_path: Path) -> None:
    output = without_torch("--from", str(checkpoint), "--to", str(tmp_path / "exported"), "--verify")

    assert output.returncode == 1
    assert "torch and transformers must be installed" in output.stderr
    assert not (tmp_path / "exported").exists()


def spoil(state: dict[str, Any]) -> None:
    state["vision_model.post_layernorm.weight"].fill_(float("nan"))


@pytest.mark.parametrize("verify", [False, True])
def test_an_export_that_does_not_work_is_deleted(checkpoint: Path, tmp_path: Path, verify: bool) -> None:
    source = edited(checkpoint, tmp_path)
    edit_weights(source, spoil)
    target = tmp_path / "models" / "exported"
    target.mkdir(parents=True)
    (target / "model.json").write_text("old")

    with pytest.raises(ModelError, match=f"export of {source} is not kept"):
        export(source, target, Origin("spoiled", "1", "none"), verify=verify, compared=FEW_PICTURES)

    assert (target / "model.json").read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_generation_settings_that_transformers_ignores_are_ignored(
    checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    settings = {"repetition_penalty": 1.5, "num_beams": 3, "min_new_tokens": 4, "max_length": 7}
    source = edited(checkpoint, tmp_path, config=lambda config: config["text_config"].update(settings))
    (source / "generation_config.json").write_text(json.dumps(settings))

    export(source, tmp_path / "exported", Origin("other settings", "0", "none"))

    assert read_manifest(tmp_path / "exported").files == read_manifest(exported).files
