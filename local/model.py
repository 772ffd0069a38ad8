"""The real caption model, fetched and exported at the first start where the hub answers."""

from __future__ import annotations

import subprocess
import sys

from local import logs
from local.template import ROOT

_MANIFEST = ROOT / "models" / "exported" / "model.json"
_HUB_SECONDS = 3.0


def fetch_if_reachable() -> None:
    """`make model`, unless it was done before; where that cannot be, says that the demo model is used instead."""
    if _MANIFEST.is_file():
        return
    from models.fetch import hub_answers  # brings huggingface_hub along

    if not hub_answers(_HUB_SECONDS):
        logs.write("local", "the Hugging Face hub does not answer: captions come from the demo model")
        return
    logs.write("local", "fetching the caption model, once (make run MODEL=demo does without) …")
    if subprocess.run([sys.executable, "-m", "models.export"], cwd=ROOT).returncode != 0:
        logs.write("local", "that did not work, see above: captions come from the demo model")
