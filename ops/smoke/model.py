"""Facts about a stack's caption model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.template import ROOT

FOLDERS = (ROOT / "models" / "exported", ROOT / "models" / "demo" / "exported")
_REPORTED_FIELDS = ("license", "prompt", "precision")


def described_model(name: str | None, folders: tuple[Path, ...] = FOLDERS) -> dict[str, str]:
    """The model of `/health`, with facts from model.json if this checkout has the same model.

    model.json contains an agreement report (how its captions compare with those of transformers) if the export has
    written one.
    """
    if name is None:
        return {"model": "none was loaded: /health names no model"}
    for folder in folders:
        manifest = _manifest(folder)
        if manifest is not None and f"{manifest.get('name')}@{manifest.get('revision')}" == name:
            return {"model": name, **_facts(manifest)}
    return {"model": name, "agreement": "unknown: this checkout does not have that model"}


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _facts(manifest: dict[str, Any]) -> dict[str, str]:
    facts = {key: str(manifest[key]) for key in _REPORTED_FIELDS if manifest.get(key)}
    weights = {name: entry for name, entry in manifest.get("files", {}).items() if name.endswith(".weights")}
    facts |= {name: f"{entry['bytes']:,} bytes, SHA-256 {entry['sha256']}" for name, entry in weights.items()}
    agreement = manifest.get("agreement")
    facts["agreement"] = json.dumps(agreement) if agreement else "model.json has no agreement report"
    return facts
