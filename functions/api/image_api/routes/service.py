"""The service as a whole: health, statistics."""

from __future__ import annotations

from image_api.dependencies import Connected
from image_api.http import routing
from image_api.http.error_responses import documented
from image_api.presentation import stats_answer
from image_api.schemas import HealthAnswer, StatsAnswer

router = routing.router("service")


@router.get(
    "/health", responses=documented(), response_description="It answers.", summary="Whether the service answers"
)
def health(services: Connected) -> HealthAnswer:
    """Reads the database once; names the caption model in use."""
    return HealthAnswer(caption_model=services.records.caption_model())


@router.get("/api/stats", responses=documented(), response_description="The statistics.", summary="Statistics")
def stats(services: Connected) -> StatsAnswer:
    """Counts, rates and processing times over all images; costs the same for any number of them."""
    return stats_answer(services.records.stats())
