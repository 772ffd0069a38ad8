"""The thread in which a route's function runs: a worker thread under a server, the calling thread on Lambda."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import httpx
from fastapi import FastAPI
from mangum import Mangum

from image_api.http import routing
from image_api.http.inline import inline_handler
from tests.functional.http_api import request


def app(threads: list[int]) -> FastAPI:
    router = routing.router("service")

    @router.get("/health")
    def health() -> dict[str, int]:
        threads.append(threading.get_ident())
        return {"calls": len(threads)}

    app = FastAPI()
    app.router.routes.extend(router.routes)
    return app


def test_on_lambda_a_route_runs_in_the_calling_thread() -> None:
    threads: list[int] = []
    handler = inline_handler(Mangum(app(threads), lifespan="off"))
    context: Any = object()

    response = handler(request("http_get.json", "/health"), context)

    assert (response["statusCode"], response["body"]) == (200, '{"calls":1}')
    assert threads == [threading.get_ident()]


def test_under_a_server_a_route_runs_in_a_worker_thread() -> None:
    threads: list[int] = []

    async def call() -> int:
        transport = httpx.ASGITransport(app(threads))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return (await client.get("/health")).status_code

    assert asyncio.run(call()) == 200
    assert threads != [threading.get_ident()]


def test_a_server_builds_all_models_before_its_first_request() -> None:
    # In a new process, because other tests may have built them in this one.
    script = """if True:
        import asyncio
        from image_api import schemas
        from docs.api import offline_app

        app = offline_app()
        unbuilt = lambda: sum(not one.__pydantic_complete__ for one in schemas._Response.__subclasses__())

        async def main():
            before = unbuilt()
            async with app.router.lifespan_context(app):
                print(before > 0, unbuilt())

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]
