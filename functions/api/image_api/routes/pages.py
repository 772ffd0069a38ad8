"""/ and /assets: the gallery for browsers, a JSON index for other clients."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response

from image_api.assets import PAGE, asset, content_security_policy
from image_api.dependencies import Connected
from image_api.http import routing
from image_api.http.conditional import etag_headers, is_known, not_modified
from image_api.http.errors import NotFound
from image_api.http.negotiation import accepts
from image_api.schemas import IndexResponse, Limits

router = routing.router("service")


@router.get(
    "/",
    summary="Gallery or index",
    response_model=IndexResponse,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    response_description="The gallery page, or the index.",
)
def index(request: Request, services: Connected) -> Response | IndexResponse:
    """The gallery page for a browser (`Accept: text/html`), a JSON index for other clients."""
    if accepts(request.headers.get("accept"), "text/html"):
        policy = content_security_policy(services.storage.public_origin())
        return _asset_response(PAGE, request, {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})
    base = str(request.base_url)
    body = IndexResponse(
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
    return Response(body.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


@router.get("/assets/{name}", include_in_schema=False)
def gallery_asset(name: str, request: Request) -> Response:
    """A script, style or picture of the gallery."""
    if name == PAGE:
        raise NotFound("There is nothing at this URL.")
    return _asset_response(name, request)


def _asset_response(name: str, request: Request, extra: Mapping[str, str] | None = None) -> Response:
    found = asset(name, gzipped=accepts(request.headers.get("accept-encoding"), "gzip"))
    if found is None:
        raise NotFound("There is nothing at this URL.")
    # Revalidated each time and mostly answered with 304, so that scripts of two releases never mix.
    headers = {"Vary": "Accept, Accept-Encoding", **(extra or {})}
    if is_known(found.etag, request.headers.get("if-none-match")):
        return not_modified(found.etag, found.media_type, headers)
    headers |= {**etag_headers(found.etag), **found.headers}
    return Response(found.body, media_type=found.media_type, headers=headers)
