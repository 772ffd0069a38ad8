"""`python -m bench.api`: the API function from spawn to its first response, and the cost of a route once it is
warm.

Ours is the output of `sam build` (functions/Makefile). Theirs is bench/eager on the same packages, as pip installs
them, also compiled. Both read one record of a DynamoDB that responds immediately. Rounds are interleaved.
"""

# ruff: noqa: S603, S607  # only our own programs, with our own arguments
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import check_bound, machine, ratio, spread, table
from image_core.model import Record, Status, ThumbnailInfo, Thumbnails
from image_core.stores.items import to_item

REPOSITORY = Path(__file__).parents[1]
WORK = REPOSITORY / ".bench" / "api"
IMAGE_ID = "img_01kb5q3v8n0h2m4x6c8f0a2d4g"
TO_EAGER, WARM_MS = 0.75, 0.5
WARM_CALLS = 500
LOCKED = ("layers/core", "functions/api")


@dataclass(frozen=True)
class Way:
    """One implementation of the function: the module of its handler, and the folders of it and its packages."""

    module: str
    path: str


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    python = _python()
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    print(
        f"\n## API\n\nSpawn to first response, {rounds} rounds, {version}.\n"
        f"{machine('fastapi', 'mangum', 'boto3')}\n"
    )
    this_api, eager_api = _this_api(python), _eager_api(python)
    event = WORK / "event.json"
    event.write_text(json.dumps(_event()))
    with _Dynamodb() as url:
        environment = _environment(url)
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds + 1):
            for way, seconds in zip((eager_api, this_api), times, strict=True):
                took = _seconds_to_first_response(python, way, event, environment)
                if number:  # the first round warms the page cache
                    seconds.append(took)
        warm = _warm(python, this_api, event, environment)
    rows = [["eager FastAPI + Mangum + boto3", spread(times[0]), "1.00"]]
    rows.append(["this API", spread(times[1]), ratio(times[1], times[0])])
    print(table(["", "seconds, median (range)", "of eager"], rows))
    overhead_ms = warm["rest"] * 1000
    print(
        f"\nWarm, {WARM_CALLS} calls: {warm['call'] * 1000:.2f} ms,"
        f" of which the read takes {warm['read'] * 1000:.2f} ms.\n"
    )
    print(
        check_bound(
            "spawn to first response, of eager", median(times[1]) / median(times[0]), TO_EAGER, at_least=False
        )
    )
    print(check_bound("warm overhead of a route, ms", overhead_ms, WARM_MS, at_least=False))


def _python() -> str:
    """Find Python 3.13, as on Lambda: the pinned packages are for it. pyenv's shim may exist without it."""
    found = shutil.which("python3.13")
    if found is None or subprocess.run([found, "-V"], capture_output=True, check=False).returncode != 0:
        raise SystemExit("Python 3.13 must be on PATH (with pyenv: PYENV_VERSION=3.13.0)")
    return found


def _this_api(python: str) -> Way:
    shutil.rmtree(WORK, ignore_errors=True)
    parts = []
    for name, folder in (("CoreLayer", "layers/core"), ("ApiFunction", "functions/api")):
        built = WORK / name
        subprocess.run(
            ["make", "--quiet", "-f", str(REPOSITORY / "functions/Makefile"), f"build-{name}", f"PYTHON={python}"],
            cwd=REPOSITORY / folder,
            env={**os.environ, "ARTIFACTS_DIR": str(built)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        parts.append(str(built / "python" if name == "CoreLayer" else built))
    return Way("image_api.main", os.pathsep.join(reversed(parts)))


def _eager_api(python: str) -> Way:
    target = WORK / "eager"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(target)]
    for folder in LOCKED:
        subprocess.run([*install, "-r", str(REPOSITORY / folder / "requirements.txt")], check=True)
    shutil.copy(REPOSITORY / "bench" / "eager" / "eager_app.py", target)
    compiling = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(target)]
    subprocess.run(compiling, check=True)
    return Way("eager_app", str(target))


def _environment(url: str) -> dict[str, str]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "PYENV_VERSION") if name in os.environ}
    return plain | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "UPLOADS_BUCKET": "uploads",
        "THUMBNAILS_BUCKET": "thumbnails",
        "IMAGES_TABLE": "images",
        "STATS_TABLE": "statistics",
        "SEARCH_TABLE": "search",
        "QUEUE_URL": f"{url}/queue",
        "POWERTOOLS_METRICS_NAMESPACE": "image-pipeline",
        "POWERTOOLS_SERVICE_NAME": "api",
    }


def _command(python: str, way: Way, event: Path, calls: int) -> list[str]:
    # No site-packages: only the deployed files can be imported.
    return [python, "-S", "-P", str(REPOSITORY / "bench" / "api_child.py"), way.module, str(event), str(calls)]


def _seconds_to_first_response(python: str, way: Way, event: Path, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    with subprocess.Popen(
        _command(python, way, event, 0), env={**environment, "PYTHONPATH": way.path}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        reported = _response_of(process.stdout)
        seconds = time.perf_counter() - started
        process.stdout.read()
    if reported["answered"] != 200:
        raise SystemExit(f"{way.module} returned {reported}")
    return seconds


def _warm(python: str, way: Way, event: Path, environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        _command(python, way, event, WARM_CALLS),
        env={**environment, "PYTHONPATH": way.path},
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _response_of(stdout: Any) -> dict[str, Any]:
    """Read the child's result line. Metrics are written to the same output."""
    for line in stdout:
        reported: dict[str, Any] = json.loads(line)
        if "answered" in reported:
            return reported
    raise SystemExit("no response; see above")


def _event() -> dict[str, Any]:
    path = f"/api/images/{IMAGE_ID}"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "api.example", "accept": "*/*", "user-agent": "bench"},
        "pathParameters": {"image_id": IMAGE_ID},
        "requestContext": {
            "accountId": "123456789012",
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "b",
            },
        },
        "isBase64Encoded": False,
    }


def _item() -> dict[str, Any]:
    sizes = {
        size: ThumbnailInfo(f"{IMAGE_ID}/a/{size}", 150, 100, "image/jpeg", 5_000) for size in ("small", "medium")
    }
    return to_item(
        Record(
            image_id=IMAGE_ID,
            key=f"uploads/{IMAGE_ID}/photo.jpg",
            rev=4,
            status=Status.SUCCESS,
            generation=1,
            created_ms=1_795_168_800_000,
            original_name="photo.jpg",
            source="api",
            content_type="image/jpeg",
            size_bytes=2_000_000,
            version="v1",
            metadata={
                "width": 1920,
                "height": 1080,
                "format": "jpeg",
                "size_bytes": 2_000_000,
                "sha256": "0" * 64,
                "exif": {"Make": "Canon", "Orientation": 6},
            },
            thumbnails=Thumbnails(attempt="a", version="v1", generation=1, sizes=sizes),
            caption="a red square",
            caption_model="demo@1",
            caption_confidence=0.9876,
            caption_flags=(),
            caption_language="en",
            processed_ms=1_795_168_801_000,
            processing_ms=420,
        )
    )


class _Dynamodb:
    """A server that responds to every call with the same item, on its own port."""

    def __enter__(self) -> str:
        body = json.dumps({"Item": _item()}).encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = (
                -1
            )  # head and body in one packet: a second one would wait for the acknowledgment of the first

            def do_POST(self) -> None:  # http.server calls this name
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


if __name__ == "__main__":
    main()
