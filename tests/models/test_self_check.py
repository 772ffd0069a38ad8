"""The self-check finds exports that run but give wrong results, without transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from image_core.errors import ModelError
from image_processor.captioning.model_folder import sha256_of
from models.export import Origin, export
from models.parity import sample_pictures
from models.self_check import self_check
from tests.models.checkpoints import edit_weights, edited

DEMO = Path(__file__).parents[2] / "models" / "demo" / "exported"


def test_a_good_export_passes() -> None:
    assert "2 captions" in self_check(DEMO, sample_pictures(2))


def test_a_model_that_ignores_the_picture_is_found(checkpoint: Path, tmp_path: Path) -> None:
    def blind(state: dict[str, Any]) -> None:
        for name, value in state.items():
            if "crossattention.self.value" in name:
                value.zero_()

    source = edited(checkpoint, tmp_path)
    edit_weights(source, blind)

    with pytest.raises(ModelError, match="the same for every picture"):
        export(source, tmp_path / "exported", Origin("blind", "0", "none"))


def test_a_decoder_that_reads_a_prompt_differently_from_its_tokens_is_found(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO, tmp_path / "model"))
    path = folder / "decoder.onnx"
    graph = onnx.load(str(path), load_external_data=False)
    last = next(one for one in graph.graph.initializer if one.name == "last")
    last.CopyFrom(
        onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "last")
    )  # the first row instead of the last
    path.write_bytes(graph.SerializeToString())
    manifest = json.loads((folder / "model.json").read_text())
    manifest["files"]["decoder.onnx"] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / "model.json").write_text(json.dumps(manifest))

    with pytest.raises(ModelError, match="contradict themselves"):
        self_check(folder, sample_pictures(2))
