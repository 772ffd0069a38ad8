"""Health and statistics of the service."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, Request

from image_api.dependencies import Connected
from image_api.http import routing
from image_api.http.error_responses import documented
from image_api.presentation import stats_response
from image_api.schemas import HealthResponse, ModelQuality, NextModel, StatsResponse
from image_core.model import ModelInUse
from image_core.services import Services

router = routing.router("service")

MODEL_CACHE_MS = 5_000
"""How long `/health` caches its read. It requires no key, and each read costs money."""


class CachedModel:
    """The caption model in use, read from the database at most once in `MODEL_CACHE_MS`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._model: ModelInUse | None = None
        self._read_at = 0

    def get(self) -> ModelInUse:
        """Return the model. A read that fails is not cached: the next call reads again. Raises `Unavailable`."""
        with self._lock:
            age = self._services.clock.now_ms() - self._read_at
            if self._model is None or not 0 <= age < MODEL_CACHE_MS:  # negative if the clock was set back
                self._model = self._services.records.caption_model()
                self._read_at = self._services.clock.now_ms()
            return self._model


async def _cached_model(request: Request) -> CachedModel:  # FastAPI would run a plain function in a thread
    cached: CachedModel = request.app.state.cached_model
    return cached


@router.get("/health", responses=documented(), response_description="The service is up.", summary="Health check")
def health(cached_model: Annotated[CachedModel, Depends(_cached_model)]) -> HealthResponse:
    """Reads the database, at most once in five seconds, and names the caption model in use."""
    model = cached_model.get()
    following, quality = model.next_model, model.quality
    return HealthResponse(
        caption_model=model.name,
        caption_model_quality=ModelQuality(**asdict(quality)) if quality else None,
        next_caption_model=NextModel(name=following.name, percent=following.percent) if following else None,
    )


@router.get("/api/stats", responses=documented(), response_description="The statistics.", summary="Statistics")
def stats(services: Connected) -> StatsResponse:
    """Returns counts, rates and processing times of all images. The cost does not depend on their number."""
    return stats_response(services.records.stats())
