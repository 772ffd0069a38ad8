"""The API key: which requests are accepted, which are refused, and what happens if the key cannot be read."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from docs.api import offline_app
from image_api.http.api_key import (
    CACHE_SECONDS,
    EXTRA_READ_SECONDS,
    MAX_EXTRA_READS,
    OUTAGE_SECONDS,
    KeyRing,
    is_public,
)
from image_core.errors import Unavailable
from image_core.model import Status
from tests import pictures
from tests.functional.emulator import Call, Client, Clients, Stack, raising
from tests.functional.http_api import Api, Response, request
from tests.functional.images import DIGEST, stored_image
from tests.iam import calls
from tests.iam.resolved import resolved

KEY, NEXT_KEY, THIRD_KEY = "k" * 40, "n" * 40, "t" * 40
ID = "img_01m7wbf7vx5demrzapbaz34mv8"
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")
OFFLINE = EndpointConnectionError(endpoint_url="https://secretsmanager.eu-west-1.amazonaws.com")


@pytest.fixture
def secret_arn(clients: Clients) -> str:
    secret = clients.secretsmanager.create_secret(Name=f"key-{uuid.uuid4().hex}", SecretString=KEY)
    return str(secret["ARN"])


@pytest.fixture
def locked(make_stack: Callable[..., Stack], secret_arn: str) -> Stack:
    """A stack that requires a key."""
    return make_stack(api_key_secret_arn=secret_arn)


@pytest.fixture
def api(locked: Stack) -> Api:
    return Api(locked.services)


def call(api: Api, method: str, path: str, **headers: str) -> Response:
    return api.send(request("http_get.json", path, method=method, headers=headers))


def test_with_a_key_only_the_callers_own_cache_keeps_a_thumbnail(locked: Stack, api: Api) -> None:
    path = f"/api/images/{stored_image(locked, Status.SUCCESS).image_id}/thumbnails/small"
    response = api.send(request("http_get.json", path, f"v={DIGEST}", headers={"x_api_key": KEY}))
    assert response.headers["cache-control"] == "private, max-age=31536000, immutable"


# Without the key

GUARDED = [
    ("GET", "/api/images"),
    ("POST", "/api/images"),
    ("GET", f"/api/images/{ID}"),
    ("DELETE", f"/api/images/{ID}"),
    ("POST", f"/api/images/{ID}/reprocess"),
    ("GET", f"/api/images/{ID}/thumbnails/small"),
    ("GET", f"/api/images/{ID}/original"),
    ("POST", "/api/uploads"),
    ("GET", "/api/stats"),
    ("PATCH", "/api/images"),
    ("GET", "/api"),
    ("GET", "/api/nothing/here"),
    ("GET", "/nothing/here"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_call_is_accepted_without_the_key(api: Api, method: str, path: str) -> None:
    for headers in ({}, {"x_api_key": "x" * 40}):
        response = call(api, method, path, **headers)
        assert (response.status, response.code) == (401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("ApiKey ")


@pytest.mark.parametrize("presented", ["", KEY[:-1], KEY + "k", KEY.upper(), f"Bearer {KEY}", f" {KEY}", "ключ"])
def test_a_similar_key_is_refused(api: Api, presented: str) -> None:
    assert call(api, "GET", "/api/images", x_api_key=presented).code == "unauthorized"


def test_every_route_requires_a_key_or_is_listed_as_public() -> None:
    paths = set(paths_of(offline_app().routes))
    public = {path for path in paths if is_public(f"{path}/" if path == "/assets" else path, public_docs=True)}
    assert len(paths - public) >= 7
    assert {path for path in paths if path.startswith("/api/")} == paths - public


def paths_of(routes: Any) -> Iterator[str]:
    """Yield the paths of all routes, including those of included routers."""
    for route in routes:
        if hasattr(route, "path"):
            yield route.path
        else:
            yield from paths_of(route.original_router.routes)


@pytest.mark.parametrize(
    "path",
    [
        "//api/images",
        "/API/images",
        "/api/images/",
        "/%61pi/images",
        "/api%2Fimages",
        "/assets/../api/images",
        "/assets/%2e%2e/api/images",
        "/health/../api/images",
        "/docs/../api/images",
        "/health/",
        "/;/api/images",
        "/api/images;/health",
    ],
)
def test_no_spelling_of_a_path_bypasses_the_key(api: Api, path: str) -> None:
    response = call(api, "GET", path)
    assert response.status in (401, 404)
    assert response.code in ("unauthorized", "not_found")


def test_a_refused_upload_stores_nothing(api: Api, locked: Stack) -> None:
    assert api.upload(pictures.jpeg(60, 40)).code == "unauthorized"
    assert locked.every() == []
    assert locked.originals() == set()


def test_requests_without_a_key_do_not_call_secrets_manager(api: Api, locked: Stack) -> None:
    call(api, "GET", "/api/images")
    call(api, "GET", "/api/images", x_api_key="")
    call(api, "GET", "/health")
    assert locked.secrets.calls == []


# With the key


def test_the_key_allows_every_call(api: Api, locked: Stack) -> None:
    assert call(api, "GET", "/api/images", x_api_key=KEY).status == 200
    assert call(api, "GET", "/api/stats", X_API_KEY=KEY).status == 200, "header names are case-insensitive"
    assert call(api, "GET", f"/api/images/{ID}", x_api_key=KEY).code == "not_found"
    assert call(api, "GET", "/nothing/here", x_api_key=KEY).code == "not_found"


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json"])
def test_public_paths_need_no_key(api: Api, path: str) -> None:
    assert call(api, "GET", path).status == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documentation_requires_the_key_if_configured(
    make_stack: Callable[..., Stack], secret_arn: str, path: str
) -> None:
    stack = make_stack(api_key_secret_arn=secret_arn, public_docs=False)
    api = Api(stack.services)
    assert call(api, "GET", path).code == "unauthorized"
    assert call(api, "GET", path, x_api_key=KEY).status == 200
    assert call(api, "GET", "/health").status == 200


def test_the_schema_declares_the_api_key(api: Api) -> None:
    schema = call(api, "GET", "/openapi.json").json()
    scheme = schema["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-Api-Key")
    secured = {p for p, methods in schema["paths"].items() if all("security" in o for o in methods.values())}
    assert secured == {path for path in schema["paths"] if path.startswith("/api/")}


def test_the_apis_role_may_read_the_key(api: Api) -> None:
    before = calls.recorded.total()
    call(api, "GET", "/nothing/here", x_api_key=KEY)
    read = [key for key in calls.recorded if key[:3] == ("api", "secretsmanager", "get_secret_value")]
    assert read and calls.recorded.total() > before


# A stack without a key


def test_a_stack_without_a_key_accepts_everyone_and_never_calls_secrets_manager(stack: Stack) -> None:
    api = Api(stack.services)
    assert call(api, "GET", "/api/images").status == 200
    assert call(api, "GET", "/api/images", x_api_key="whatever").status == 200
    assert stack.secrets.calls == []


# While the key cannot be read


@pytest.mark.parametrize("error", [DENIED, OFFLINE])
def test_while_the_key_cannot_be_read_the_api_is_unavailable(api: Api, locked: Stack, error: Exception) -> None:
    locked.secrets.plan("get_secret_value", raising(error))
    for presented in (KEY, "x" * 40):
        response = call(api, "GET", "/api/images", x_api_key=presented)
        assert (response.status, response.code) == (503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert "arn" not in response.body.decode()
    assert call(api, "GET", "/health").status == 200
    assert len(locked.secrets.calls) == 1, "after a failed read the next request does not read again"


@pytest.mark.parametrize("nonsense", [" ", "short", "changeme"])
def test_a_secret_without_a_valid_key_matches_no_key(
    api: Api, clients: Clients, secret_arn: str, nonsense: str
) -> None:
    for _ in range(2):  # the second one makes the first the previous version
        clients.secretsmanager.put_secret_value(SecretId=secret_arn, SecretString=nonsense)
    for presented in (nonsense, KEY):
        assert call(api, "GET", "/api/images", x_api_key=presented).status in (401, 503)


# Rotation, with a fake clock


class Ring:
    """A key ring that reads moto's Secrets Manager, and its clock."""

    def __init__(self, clients: Clients, secret_arn: str) -> None:
        self.manager = clients.secretsmanager
        self.client = Client(clients.secretsmanager, {secret_arn: resolved().arn("ApiKeySecret")})
        self.seconds = 1000.0
        self.secret_arn = secret_arn
        self._ring = KeyRing(self.client, secret_arn, lambda: self.seconds)  # type: ignore[arg-type]

    def accepts(self, key: str) -> bool:
        valid = self._ring.is_valid(key)
        return self._ring.read_and_validate(key) if valid is None else valid

    def rotate(self, key: str) -> None:
        self.manager.put_secret_value(SecretId=self.secret_arn, SecretString=key)

    @property
    def reads(self) -> int:
        return len([a for a in self.client.arguments("get_secret_value") if "VersionStage" not in a])


@pytest.fixture
def ring(clients: Clients, secret_arn: str) -> Ring:
    return Ring(clients, secret_arn)


def test_a_new_key_is_valid_within_seconds_and_the_old_one_until_the_next_rotation(ring: Ring) -> None:
    assert ring.accepts(KEY)
    ring.rotate(NEXT_KEY)
    ring.seconds += EXTRA_READ_SECONDS
    assert ring.accepts(NEXT_KEY) and ring.accepts(KEY)
    ring.rotate(THIRD_KEY)
    ring.seconds += CACHE_SECONDS
    assert ring.accepts(THIRD_KEY) and ring.accepts(NEXT_KEY)
    assert not ring.accepts(KEY)


def test_a_revoked_key_expires_with_the_cache(ring: Ring) -> None:
    ring.rotate(NEXT_KEY)
    assert ring.accepts(KEY)
    versions = ring.manager.list_secret_version_ids(SecretId=ring.secret_arn)["Versions"]
    (old,) = [v["VersionId"] for v in versions if "AWSPREVIOUS" in v["VersionStages"]]
    ring.manager.update_secret_version_stage(
        SecretId=ring.secret_arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=old
    )
    ring.seconds += CACHE_SECONDS
    assert not ring.accepts(KEY)
    assert ring.accepts(NEXT_KEY)


def test_a_valid_key_is_read_once_and_kept(ring: Ring) -> None:
    for _ in range(50):
        assert ring.accepts(KEY)
        ring.seconds += CACHE_SECONDS / 100
    assert ring.reads == 1
    ring.seconds += CACHE_SECONDS
    assert ring.accepts(KEY)
    assert ring.reads == 2


def test_guessed_keys_cost_few_calls_to_secrets_manager(ring: Ring) -> None:
    for guess in range(200):
        with suppress(Unavailable):  # the guess may be the new key, and no read is allowed yet
            assert not ring.accepts(f"{guess:040}")
        ring.seconds += EXTRA_READ_SECONDS / 100
    assert ring.reads <= MAX_EXTRA_READS + 2


def test_a_repeated_wrong_key_is_always_refused_and_seldom_read(ring: Ring) -> None:
    for _ in range(200):
        assert not ring.accepts("w" * 40)
        ring.seconds += EXTRA_READ_SECONDS / 100
    assert ring.reads <= 3


def test_a_new_key_is_valid_at_once_although_the_secret_was_read_just_before(ring: Ring) -> None:
    assert ring.accepts(KEY)
    ring.seconds += EXTRA_READ_SECONDS / 2
    ring.rotate(NEXT_KEY)
    assert ring.accepts(NEXT_KEY) and ring.accepts(KEY)


def test_a_new_key_is_valid_within_seconds_and_never_refused_while_others_guess(ring: Ring) -> None:
    def guess() -> None:
        with suppress(Unavailable):
            assert not ring.accepts(uuid.uuid4().hex * 2)

    for _ in range(100):
        guess()
        ring.seconds += EXTRA_READ_SECONDS / 100
    ring.rotate(NEXT_KEY)
    rotated_at = ring.seconds
    while True:
        guess()
        try:
            assert ring.accepts(NEXT_KEY), "a client gives up after 401"
            break
        except Unavailable:
            ring.seconds += EXTRA_READ_SECONDS / 100
    assert ring.seconds - rotated_at <= EXTRA_READ_SECONDS


def test_while_guesses_use_up_the_reads_the_response_has_retry_after(api: Api) -> None:
    responses = [call(api, "GET", "/api/images", x_api_key=uuid.uuid4().hex) for _ in range(MAX_EXTRA_READS + 1)]
    assert {response.status for response in responses[:-1]} == {401}
    assert (responses[-1].status, responses[-1].code) == (503, "unavailable")
    assert int(responses[-1].headers["retry-after"]) == EXTRA_READ_SECONDS
    assert call(api, "GET", "/api/images", x_api_key=responses[-1].headers["x-request-id"]).status == 503


def test_simultaneous_first_requests_with_the_right_key_share_one_read(ring: Ring) -> None:
    callers = 8
    waiting = threading.Barrier(callers)

    def slow(call: Call, arguments: dict[str, Any]) -> Any:
        everybody_is_here.wait(10)
        return call(**arguments)

    everybody_is_here = threading.Event()
    ring.client.plan("get_secret_value", slow)

    def first_call(_: int) -> bool:
        if waiting.wait(10) == 0:
            everybody_is_here.set()
        return ring.accepts(KEY)

    with ThreadPoolExecutor(callers) as pool:
        assert list(pool.map(first_call, range(callers))) == [True] * callers
    assert ring.reads == 1


def test_a_known_key_does_not_wait_for_the_read_of_another_request(ring: Ring) -> None:
    assert ring.accepts(KEY)
    ring.seconds += CACHE_SECONDS
    begun, responded = threading.Event(), threading.Event()

    def slow(call: Call, arguments: dict[str, Any]) -> Any:
        begun.set()
        assert responded.wait(10), "the other request waits for this read"
        return call(**arguments)

    ring.client.plan("get_secret_value", slow)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ring.accepts, KEY)
        assert begun.wait(10)
        assert ring.accepts(KEY)
        responded.set()
        assert reading.result(10)


def test_during_an_outage_known_keys_stay_valid_and_other_keys_are_not_accepted(ring: Ring) -> None:
    assert ring.accepts(KEY)
    ring.client.plan("get_secret_value", *[raising(OFFLINE)] * 3)
    ring.seconds += CACHE_SECONDS
    assert ring.accepts(KEY)
    with pytest.raises(Unavailable):
        ring.accepts(NEXT_KEY)
    ring.seconds += EXTRA_READ_SECONDS
    with pytest.raises(Unavailable):
        ring.accepts(NEXT_KEY)
    ring.seconds += OUTAGE_SECONDS
    with pytest.raises(Unavailable):
        ring.accepts(KEY)
    ring.seconds += EXTRA_READ_SECONDS
    assert ring.accepts(KEY), "the outage is over"
    assert not ring.accepts(NEXT_KEY)
