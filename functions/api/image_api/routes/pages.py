"""/, /docs and /assets: the gallery and the documentation for browsers, a JSON index for other clients."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response

from image_api.assets import DOCS_PAGE, PAGE, PAGES, asset, docs_policy, gallery_policy
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
    """Returns the gallery page for a browser (`Accept: text/html`), a JSON index for other clients."""
    if accepts(request.headers.get("accept"), "text/html"):
        return _page(PAGE, request, gallery_policy(services.storage.public_origin()))
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


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """Serve the documentation of the API: Swagger UI."""
    return _page(DOCS_PAGE, request, docs_policy())


@router.get("/assets/{name}", include_in_schema=False)
def page_asset(name: str, request: Request) -> Response:
    """Serve a script, style or picture of a page."""
    if name in PAGES:
        raise NotFound("There is nothing at this URL.")
    return _asset_response(name, request)


def _page(name: str, request: Request, policy: str) -> Response:
    return _asset_response(name, request, {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})


def _asset_response(name: str, request: Request, extra: Mapping[str, str] | None = None) -> Response:
    found = asset(name, gzipped=accepts(request.headers.get("accept-encoding"), "gzip"))
    if found is None:
        raise NotFound("There is nothing at this URL.")
    # Revalidated each time, usually with a 304, so that scripts of two releases are never mixed.
    headers = {"Vary": "Accept, Accept-Encoding", **(extra or {})}
    if is_known(found.etag, request.headers.get("if-none-match")):
        return not_modified(found.etag, found.media_type, headers)
    headers |= {**etag_headers(found.etag), **found.headers}
    return Response(found.body, media_type=found.media_type, headers=headers)
