"""Steps about the service as a whole: health, the API key, CORS."""

from __future__ import annotations

from ops.smoke.journey import (
    SETTLE_SECONDS,
    Blocked,
    Journey,
    Skipped,
    StepFailed,
    WebhooksLeft,
    body_of,
    expect,
    require,
)

_MADE_UP_ORIGIN = "https://smoke-test.example"
_ALLOW_ORIGIN = "access-control-allow-origin"


def health(journey: Journey) -> str:
    """Check that `/health` and the JSON index respond without a key."""
    response = journey.call_without_key("GET", "/health")
    expect(response, 200)
    journey.health = body_of(response)
    require(journey.health.get("status") == "ok", f"the status is {journey.health.get('status')!r}, not 'ok'")
    journey.has_gateway = "apigw-requestid" in response.headers
    index = journey.call_without_key("GET", "/", headers={"Accept": "application/json"})
    expect(index, 200)
    journey.limits = dict(body_of(index)["limits"])
    return f"caption model: {journey.health.get('caption_model') or 'none has been loaded yet'}"


def unauthorized(journey: Journey) -> str:
    """Check that calls without a key and with a wrong one get 401. Skipped if the stack requires no key."""
    response = journey.call_without_key("GET", "/api/stats")
    if journey.subject.key is None and response.status_code == 200:
        raise Skipped("this stack requires no API key")
    require(journey.subject.key, "this API requires a key: set IMGPIPE_API_KEY")
    expect(response, 401, "unauthorized")
    wrong_key = journey.call_without_key("GET", "/api/stats", headers={"X-Api-Key": "not-the-key-of-this-stack"})
    expect(wrong_key, 401, "unauthorized")
    documented = 'ApiKey realm="image pipeline", header="X-Api-Key"'
    journey.observe(
        "WWW-Authenticate of a 401", documented, response.headers.get("www-authenticate", "no such header")
    )
    return "401 without a key and with a wrong one"


def cross_origin(journey: Journey) -> str:
    """Check that only pages of CorsOrigins may call the API, and that the gallery may upload to the bucket."""
    configured = journey.subject.cors_origins
    origin = configured.split(",")[0] if configured else _MADE_UP_ORIGIN
    origin = _MADE_UP_ORIGIN if origin == "*" else origin
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    allowed = journey.call_without_key("OPTIONS", "/api/images", headers=asked).headers.get(_ALLOW_ORIGIN)
    if configured:
        require(allowed in (origin, "*"), f"the API does not let pages of {origin} call it (CorsOrigins)")
        summary = "pages of CorsOrigins may call the API"
    else:
        require(allowed is None or allowed != origin, "the API lets pages of any site call it")
        summary = "pages of other sites may not call the API"
    if journey.upload_url is None:
        raise Blocked(f"{summary}; there is no presigned URL to try")
    asked = {"Origin": journey.subject.origin, "Access-Control-Request-Method": "PUT"}
    asked["Access-Control-Request-Headers"] = "content-type,if-none-match"
    preflight = journey.call_without_key("OPTIONS", journey.upload_url, headers=asked)
    allowed = preflight.headers.get(_ALLOW_ORIGIN)
    require(
        preflight.is_success and allowed in (journey.subject.origin, "*"),
        f"the bucket does not let the gallery upload: its CORS preflight returned {preflight.status_code}, "
        f"{_ALLOW_ORIGIN}: {allowed}",
    )
    return f"{summary}; the gallery's page may send files to the bucket"


def webhooks(journey: Journey) -> str:
    """Check that the receiver accepts the webhooks of this run. Skipped if the stack sends none."""
    left = journey.subject.webhooks
    if left is None:
        raise Skipped("this stack sends no webhooks, or is only known by its URL")

    def delivered() -> WebhooksLeft | None:
        found = left()
        return found if found.waiting == 0 else None

    try:
        found = journey.until(delivered, what="webhooks", seconds=SETTLE_SECONDS)
    except StepFailed:
        raise StepFailed(
            f"{left().waiting} webhooks are not delivered: the receiver does not accept them. The log of the "
            "webhooks function says why."
        ) from None
    earlier = f"; {found.given_up} were given up earlier" if found.given_up else ""
    return f"all webhooks are delivered{earlier}"
