"""The service as a whole: index, health, statistics."""

from __future__ import annotations

from fastapi import APIRouter, Request

from image_api.dependencies import Connected
from image_api.errors import documented
from image_api.presentation import stats_answer
from image_api.schemas import HealthAnswer, IndexAnswer, StatsAnswer

router = APIRouter(tags=["service"])


@router.get("/", response_description="Addresses.", summary="What there is")
def index(request: Request) -> IndexAnswer:
    """Where to go from here."""
    base = str(request.base_url)
    return IndexAnswer(
        name=request.app.title,
        documentation=f"{base}docs",
        endpoints={
            "images": f"{base}api/images",
            "uploads": f"{base}api/uploads",
            "stats": f"{base}api/stats",
            "health": f"{base}health",
        },
    )


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
