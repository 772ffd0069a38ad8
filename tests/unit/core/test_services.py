"""AWS clients are created at their first use, and only once even if several threads need them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from image_core.services import connect
from image_core.settings import Settings
from image_core.stores.clients import LazyClient


class Builder:
    def __init__(self) -> None:
        self.built = 0
        self.slow = threading.Event()

    def __call__(self) -> Any:
        self.slow.wait(0.05)  # long enough for the other threads to arrive
        self.built += 1
        return SimpleNamespace(call=lambda: "done")


def test_nothing_is_built_before_it_is_used():
    build = Builder()
    client = LazyClient(build)
    assert build.built == 0
    assert client.call() == client.call() == "done"
    assert build.built == 1


def test_many_threads_build_one_client():
    build = Builder()
    client = LazyClient(build)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(client.call())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results, build.built) == (["done"] * 8, 1)


@pytest.fixture
def settings() -> Settings:
    names = dict.fromkeys(
        ("uploads_bucket", "thumbnails_bucket", "images_table", "stats_table", "search_table"), "name"
    )
    inside, outside = "http://inside:4566", "http://outside:4566"
    return Settings(**names, queue_url="https://queue", aws_endpoint_url=inside, s3_public_endpoint_url=outside)


def test_connecting_creates_nothing_and_preparing_creates_the_named_clients(settings):
    services = connect(settings)
    assert [name for name, client in services.clients.items() if client._client is not None] == []
    services.prepare("dynamodb")
    assert [name for name, client in services.clients.items() if client._client is not None] == ["dynamodb"]


def test_urls_are_signed_for_the_endpoint_that_clients_use(settings):
    services = connect(settings)
    url = services.storage.presign_download("a key", name="a.jpg", content_type=None, seconds=60)
    assert url.startswith("http://outside:4566/name/a%20key?")
