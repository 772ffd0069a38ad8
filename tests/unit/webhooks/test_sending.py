"""Requests to real servers that are slow, hostile, gone or not trusted."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_webhooks.endpoint import Endpoint, parse_endpoint
from image_webhooks.sending import Request, Response, send_all
from tests.receiver import Handler, Receiver, receiver, self_signed, status

REQUEST = Request({"webhook-id": "a"}, b'{"a":1}')
SECONDS = 0.4
"""Time that a receiver has here. 5 seconds in production."""


def endpoint(url: str) -> Endpoint:
    return parse_endpoint(url, plain_http=True)


def sent(url: str, *, seconds: float = 5, context: ssl.SSLContext | None = None) -> Response:
    (response,) = send_all(endpoint(url), [REQUEST], seconds=seconds, context=context)
    return response


@pytest.fixture
def running() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def test_the_receiver_gets_a_post_request_with_the_whole_path(running: Receiver) -> None:
    assert sent(running.url) == Response(200, "status 200")
    (request,) = running.requests
    assert (request.path, request.body) == ("/hook?token=t", b'{"a":1}')
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["webhook-id"], request.headers["connection"]) == ("a", "close")


@pytest.mark.parametrize(
    ("code", "is_success"), [(200, True), (204, True), (299, True), (400, False), (410, False), (500, False)]
)
def test_only_2xx_is_success(running: Receiver, code: int, is_success: bool) -> None:
    running.respond = status(code, Retry_After="7")
    response = sent(running.url)
    assert (response.is_success, response.retry_after) == (is_success, "7")


def test_interim_responses_are_skipped(running: Receiver) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\nRetry-After: 9\r\n\r\n"
    running.respond = lambda handler: handler.wfile.write(interim * 2 + b"HTTP/1.1 204 OK\r\n\r\n") and None
    assert sent(running.url) == Response(204, "status 204")


def test_a_proxy_in_the_environment_does_not_receive_webhooks(
    running: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert sent(running.url).is_success


def test_a_redirect_is_not_followed(running: Receiver) -> None:
    running.respond = status(307, Location=running.url)
    assert not sent(running.url).is_success
    assert len(running.requests) == 1


def silent(handler: Handler) -> None:
    handler.receiver.closing.wait(30)


def trickling(head: bytes) -> object:
    """Respond with `head`, then with a byte every 20 ms: each read succeeds, and the response never ends."""

    def respond(handler: Handler) -> None:
        handler.wfile.write(head)
        while not handler.receiver.closing.wait(0.02):
            handler.wfile.write(b"x")

    return respond


def endless(handler: Handler) -> None:
    while not handler.receiver.closing.is_set():
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize("respond", [silent, trickling(b""), trickling(b"HTTP/1.1 200 OK\r\nX: "), endless])
def test_a_receiver_that_takes_forever_gets_no_more_than_its_time(running: Receiver, respond: object) -> None:
    running.respond = respond  # type: ignore[assignment]
    started = time.monotonic()
    response = sent(running.url, seconds=SECONDS)
    assert time.monotonic() - started < SECONDS + 1
    assert response == Response(None, "no response within 0.4 s")


def test_a_body_without_end_does_not_matter(running: Receiver) -> None:
    running.respond = trickling(b"HTTP/1.1 200 OK\r\n\r\n")  # type: ignore[assignment]
    started = time.monotonic()
    assert sent(running.url).is_success
    assert time.monotonic() - started < 3


def test_a_name_lookup_that_hangs_gets_no_more_time_either(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: release.wait(30) and [])
    started = time.monotonic()
    response = sent("https://a.example", seconds=SECONDS)
    release.set()
    assert time.monotonic() - started < SECONDS + 2
    assert response.status is None


def test_requests_are_sent_at_the_same_time(running: Receiver) -> None:
    """Each request of this receiver gets its response only when all ten have arrived."""
    barrier = threading.Barrier(10, timeout=10)

    def together(handler: Handler) -> None:
        barrier.wait()
        status(200)(handler)

    running.respond = together
    responses = send_all(endpoint(running.url), [REQUEST] * 10, seconds=10)
    assert all(response.is_success for response in responses)


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"", b"\x00" * 100_000])
def test_a_server_that_speaks_no_http_is_a_failure_that_shows_none_of_its_text(
    running: Receiver, head: bytes
) -> None:
    running.respond = lambda handler: handler.wfile.write(head) and None
    response = sent(running.url)
    assert response.status is None and response.reason.isidentifier()


def test_a_receiver_that_is_gone_is_a_failure() -> None:
    with receiver() as gone:
        url = gone.url
    assert sent(url) == Response(None, "ConnectionRefusedError: Connection refused")


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with receiver(certificate=self_signed(tmp_path)) as running:
        response = sent(running.url)
        assert response == Response(None, "SSLCertVerificationError: self-signed certificate")
        assert running.requests == []


def test_a_trusted_certificate_is_accepted_for_its_own_name_only(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    with receiver(certificate=certificate) as running:
        assert sent(running.url, context=context).is_success
        other_name = sent(running.url.replace("localhost", "127.0.0.1"), context=context)
        assert "IP address mismatch" in other_name.reason
        assert len(running.requests) == 1


def test_plain_http_of_a_server_with_tls_is_a_failure(running: Receiver) -> None:
    assert sent(running.url.replace("http://", "https://")).status is None
