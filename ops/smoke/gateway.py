"""Error responses and HEAD: the application's must be as documented, API Gateway's are only reported.

docs/api.md lists API Gateway's responses from AWS's documentation, so a difference is reported and not a failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from ops.smoke.journey import Blocked, Journey, StepFailed, expect, require

_GATEWAY_LIMIT_BYTES = 10_500_000
_LAMBDA_LIMIT_BYTES = 5_000_000
"""With base64 and its envelope, a body of this size exceeds Lambda's 6 MB, but not API Gateway's 10 MB."""
_JSON_BYTES = 70_000
_NEVER_PROVOKED = (
    "429 `Too Many Requests`: it takes more calls than a smoke test should send",
    "500, 503 and 504 of a function that crashed, did not start or took too long",
    "404 `Not Found` of a stage that does not exist",
)


def error_responses(journey: Journey) -> str:
    """Check 404, 405 and 413 of the application, and on AWS the errors of API Gateway and S3."""
    unknown = journey.call("GET", "/no-such-page")
    expect(unknown, 404, "not_found")
    expect(journey.call("GET", f"/api/images/img_{'0' * 26}"), 404, "not_found")
    response = journey.call("PUT", "/api/images")
    expect(response, 405, "method_not_allowed")
    require("POST" in response.headers.get("allow", ""), f"Allow is {response.headers.get('allow')!r}")
    large = {"filename": "x" * _JSON_BYTES, "content_type": "image/jpeg", "size": 1}
    expect(journey.call("POST", "/api/uploads", json=large), 413, "too_large")
    text = journey.call("POST", "/api/images", files={"file": ("text.jpg", b"not a picture")})
    expect(text, 400, "unsupported_format")
    require("x-request-id" in unknown.headers, "X-Request-Id is missing")
    summary = "404, 405, 413 and 400 in the documented envelope"
    journey.report.not_provoked += _NEVER_PROVOKED
    if not journey.has_gateway:
        journey.report.not_provoked.append("403, 413 and 500 of API Gateway: there is no API Gateway here")
        return f"{summary}; there is no API Gateway here"
    _observe_gateway(journey)
    return f"{summary}; see the table for those of API Gateway"


def _observe_gateway(journey: Journey) -> None:
    foreign = _returned(lambda: journey.call("GET", "/health", headers={"Host": "another.example"}))
    journey.observe("a host that is not the API's", _gateway(403, "Forbidden"), foreign)
    limit = journey.limits.get("max_post_bytes", _LAMBDA_LIMIT_BYTES)
    if limit + 100_000 < _LAMBDA_LIMIT_BYTES:
        large = _post_bytes(journey, limit + 100_000)
        journey.observe("a file over the limit of POST /api/images", "413 too_large (envelope)", large)
    large = _post_bytes(journey, _LAMBDA_LIMIT_BYTES)
    journey.observe("a body over Lambda's 6 MB", _gateway(500, "Internal Server Error"), large)
    large = _post_bytes(journey, _GATEWAY_LIMIT_BYTES)
    journey.observe("a body over 10 MB", _gateway(413, "Request Entity Too Large"), large)


def _post_bytes(journey: Journey, size: int) -> str:
    # The name contains the token, so that the cleanup finds the image if a server accepts it.
    files = {"file": (f"smoke-{journey.token}-large.jpg", b"\xff\xd8\xff" + bytes(size), "image/jpeg")}
    return _returned(lambda: journey.call("POST", "/api/images", files=files))


def _returned(call: Callable[[], httpx.Response]) -> str:
    """Describe the response. A server may close the connection before it has read a large body."""
    try:
        return _described(call())
    except StepFailed as error:
        return str(error)


def head_responses(journey: Journey) -> str:
    """Check that HEAD has the status and the headers of GET, and no body."""
    if not journey.processed:
        raise Blocked("no image was processed")
    image = journey.processed[0]
    path = f"/api/images/{image.image_id}"
    size = next(iter(image.data["thumbnails"]))
    paths = {
        "/health": "/health",
        "/api/images": "/api/images?limit=1",
        "an image": path,
        "a thumbnail": f"{path}/thumbnails/{size}",
    }
    for name, target in paths.items():
        get, head = journey.call("GET", target), journey.call("HEAD", target)
        require(head.status_code == get.status_code, f"HEAD of {name} returned {head.status_code}")
        require(head.content == b"", f"HEAD of {name} returned a body")
        for header in ("content-type", "etag"):
            same = head.headers.get(header) == get.headers.get(header)
            require(same, f"{header} of HEAD of {name} is {head.headers.get(header)!r}")
        # API Gateway may replace this header.
        length = head.headers.get("content-length", "no such header")
        journey.observe(f"Content-Length of HEAD of {name}", str(len(get.content)), length)
    return f"like GET, without a body: {', '.join(paths)}"


def _gateway(status: int, message: str) -> str:
    return f"{status} {json.dumps({'message': message})}"


def _described(response: httpx.Response) -> str:
    """Status and body of a response; an envelope is shortened to its error code."""
    try:
        body = response.json()
    except ValueError:
        return f"{response.status_code} {response.text[:200]!r}"
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return f"{response.status_code} {error.get('code')} (envelope)"
    return f"{response.status_code} {json.dumps(body)[:200]}"
