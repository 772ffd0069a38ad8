"""Load the caption model in a thread, while pictures are downloaded and decoded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from image_core.model import ModelQuality
from image_core.services import Services
from image_processor.captioning import Captioner, find_model_dir, load_captioner
from image_processor.captioning.model_folder import Manifest, read_manifest

log = logging.getLogger(__name__)


class ModelLoader:
    """The caption model of this process. `load` starts on `executor` when the object is created."""

    def __init__(self, load: Callable[[], Captioner], executor: Executor) -> None:
        self._load = load
        self._executor = executor
        self._loading: Future[Captioner] = executor.submit(load)

    def get(self) -> Captioner:
        """The model, once it is loaded. Raises `ModelError` if it cannot be loaded."""
        try:
            return self._loading.result()
        except Exception:
            # The next image tries again, because the cause may be temporary.
            self._loading = self._executor.submit(self._load)
            raise


def load_model(services: Services) -> Captioner:
    """Load the model that the settings name, and announce it for `/health`."""
    settings = services.settings
    given = settings.caption_model_dir
    folder = Path(given) if given else find_model_dir(Path(settings.models_dir))
    captioner = load_captioner(folder, prompt=settings.caption_prompt, max_new_tokens=settings.caption_max_tokens)
    quality = _quality(read_manifest(folder))
    log.info("caption model: %s, %s", captioner.model, quality.precision)
    services.records.announce_caption_model(captioner.model, quality)
    return captioner


def _quality(manifest: Manifest) -> ModelQuality:
    agreement = manifest.agreement
    if agreement is None:
        return ModelQuality(manifest.precision)
    return ModelQuality(manifest.precision, agreement.identical_captions, agreement.equal_tokens)
