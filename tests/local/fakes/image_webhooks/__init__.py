"""The fake of the webhooks function. `local.options` needs other modules of the real package."""

from __future__ import annotations

from pathlib import Path

__path__.append(str(Path(__file__).parents[4] / "functions/webhooks/image_webhooks"))
