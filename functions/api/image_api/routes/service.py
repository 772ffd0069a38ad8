"""The service as a whole: health, statistics."""

from __future__ import annotations

from image_api.dependencies import Connected
from image_api.http import routing
from image_api.http.error_responses import documented
from image_api.presentation import stats_response
from image_api.schemas import HealthResponse, NextModel, StatsResponse

router = routing.router("service")


@router.get("/health", responses=documented(), response_description="The service is up.", summary="Health check")
def health(services: Connected) -> HealthResponse:
    """Reads the database once, and names the caption model in use."""
    model = services.records.caption_model()
    following = model.next_model
    return HealthResponse(
        caption_model=model.name,
        next_caption_model=NextModel(name=following.name, percent=following.percent) if following else None,
    )


@router.get("/api/stats", responses=documented(), response_description="The statistics.", summary="Statistics")
def stats(services: Connected) -> StatsResponse:
    """Counts, rates and processing times over all images; costs the same for any number of them."""
    return stats_response(services.records.stats())
