"""/ and /assets: the gallery for browsers, an index for anything else."""

from __future__ import annotations

from fastapi import Request, Response

from image_api.dependencies import Connected
from image_api.gallery import PAGE, Asset, asset, content_security_policy
from image_api.http import routing
from image_api.http.conditional import REVALIDATED, is_known
from image_api.http.errors import NotFound
from image_api.schemas import IndexAnswer, Limits

router = routing.router("service")


@router.get(
    "/",
    summary="What there is",
    response_model=IndexAnswer,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    response_description="The gallery, or addresses.",
)
def index(request: Request, services: Connected) -> Response | IndexAnswer:
    """The gallery page for a browser (`Accept: text/html`), an index as JSON for anything else."""
    if "text/html" in request.headers.get("accept", ""):
        page = asset(PAGE)
        assert page is not None
        policy = content_security_policy(services.storage.public_origin())
        return _answer(page, request, {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})
    base = str(request.base_url)
    answer = IndexAnswer(
        name=request.app.title,
        documentation=f"{base}docs",
        endpoints={
            "images": f"{base}api/images",
            "uploads": f"{base}api/uploads",
            "stats": f"{base}api/stats",
            "health": f"{base}health",
        },
        limits=Limits(
            max_post_bytes=services.settings.max_post_bytes, max_image_bytes=services.settings.max_image_bytes
        ),
    )
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


@router.get("/assets/{name}", include_in_schema=False)
def gallery_asset(name: str, request: Request) -> Response:
    """A script, style or picture of the gallery."""
    found = asset(name)
    if found is None or name == PAGE:
        raise NotFound("There is nothing at this address.")
    return _answer(found, request, {})


def _answer(found: Asset, request: Request, headers: dict[str, str]) -> Response:
    # Asked again each time and mostly answered with 304, so that scripts of two releases never mix.
    headers |= {"ETag": found.etag, "Cache-Control": REVALIDATED, "Vary": "Accept, Accept-Encoding"}
    if is_known(found.etag, request.headers.get("if-none-match")):
        return Response(status_code=304, media_type=found.media_type, headers=headers)
    body = found.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = found.compressed
    return Response(body, media_type=found.media_type, headers=headers)
