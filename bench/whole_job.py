"""`python -m bench.whole_job`: the whole local service against what a developer would build instead.

Both get the same pictures over HTTP and use the same model. They run in turn, several rounds; the other one is not
running meanwhile. `bench/whole_job_naive.py` is the alternative.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
from PIL import Image

from bench.blip import Model, prepare
from bench.deployed import required_by, size_bytes, with_dependencies
from bench.local_stack import START_SECONDS, STOP_SECONDS, cpu_seconds, local_stack
from bench.photographs import PHOTOGRAPHS
from bench.report import machine, ratio, spread, table
from bench.whole_job_naive import CHECKPOINT, FOLDER
from local.containers import free_port

CLIENTS = 2
IMAGE_SECONDS = 120
SIZE = (3000, 2000)
NAIVE_PACKAGES = ["fastapi", "uvicorn", "python-multipart", "pillow", "torch", "transformers"]
OUR_PACKAGES = Path(__file__).parents[1] / "requirements" / "run.txt"


@dataclass
class Service:
    """A running service: how to upload a picture, whether it is done, and the processes of the service."""

    upload: Callable[[bytes], str]
    is_done: Callable[[str], bool]
    pid: int
    emulator_pid: int | None = None


@dataclass
class Round:
    """One run of a service. Times in seconds, memory in megabytes of all processes together."""

    first_caption: float
    per_second: float
    megabytes: float
    emulator_share: float | None


@dataclass
class Memory:
    """The largest proportional memory (PSS) of a process and its descendants, sampled in a thread. Linux only."""

    pid: int
    peak: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.25):
            self.peak = max(self.peak, sum(map(_pss_megabytes, family(self.pid))))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.whole_job", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=20, help="pictures per round; default: %(default)s")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this benchmark reads /proc, so it needs Linux")
    where = machine("fastapi", "pillow", "onnxruntime", "transformers", "torch")
    model = prepare()
    pictures = [picture(number) for number in range(arguments.images + 1)]
    rounds: dict[str, list[Round]] = {"ours": [], "naive": []}
    for number in range(arguments.rounds):
        services = {"ours": our_service, "naive": naive_service}
        for name in list(services) if number % 2 == 0 else reversed(list(services)):
            rounds[name].append(run(services[name], model, pictures))
            print(f"round {number + 1}, {name}: {rounds[name][-1]}", file=sys.stderr, flush=True)
    files = f"{arguments.images} JPEG files of {SIZE[0]} × {SIZE[1]} pixels, {len(pictures[0]) / 1e6:.1f} MB"
    print(f"\n## The whole job\n\n{files}, {CLIENTS} clients, {model.name}, {arguments.rounds} rounds in turn.")
    print(f"{where}\n")
    print(report(rounds["ours"], rounds["naive"]))


def picture(number: int) -> bytes:
    """The same photograph each time, but with other bytes, so that nothing is recognized as a duplicate."""
    path = next(one for one in PHOTOGRAPHS if one.name == "12mp-jpeg").draw()
    body = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").resize(SIZE).save(body, "JPEG", quality=90, comment=str(number))
    return body.getvalue()


def run(start: Callable[[Model], AbstractContextManager[Service]], model: Model, pictures: list[bytes]) -> Round:
    """Start the service, upload one picture, then the others, and stop it."""
    began = time.monotonic()
    with start(model) as service:
        wait_until(partial(service.is_done, service.upload(pictures[0])))
        first_caption = time.monotonic() - began
        with Memory(service.pid) as memory:
            computed, emulator = _cpu(service)
            began = time.monotonic()
            with ThreadPoolExecutor(CLIENTS) as pool:
                ids = list(pool.map(service.upload, pictures[1:]))
            for image_id in ids:
                wait_until(partial(service.is_done, image_id))
            seconds = time.monotonic() - began
            all_cpu, emulator_cpu = _cpu(service)
    share = (emulator_cpu - emulator) / (all_cpu - computed) if service.emulator_pid else None
    return Round(first_caption, len(ids) / seconds, memory.peak, share)


@contextmanager
def our_service(model: Model) -> Iterator[Service]:
    """The local stack, on moto."""
    with (
        local_stack("--model", str(model.exported)) as stack,
        httpx.Client(base_url=stack.api_url, timeout=60) as api,
    ):

        def upload(body: bytes) -> str:
            response = api.post("/api/images", files={"file": ("photo.jpg", body)}).raise_for_status()
            return str(response.json()["image_id"])

        yield Service(
            upload,
            lambda image_id: _is_success(api.get(f"/api/images/{image_id}")),
            _parent(stack.api_pid),
            stack.aws_pid,
        )


@contextmanager
def naive_service(model: Model) -> Iterator[Service]:
    """`bench/whole_job_naive.py` in uvicorn."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "bench.whole_job_naive:create_app",
        "--port",
        str(port),
    ]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {FOLDER: folder, CHECKPOINT: str(model.checkpoint)}
        process = subprocess.Popen(  # noqa: S603
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=IMAGE_SECONDS) as api:
                wait_until(lambda: _responds(api), START_SECONDS)

                def upload(body: bytes) -> str:
                    response = api.post("/images", files={"file": ("photo.jpg", body)}).raise_for_status()
                    return str(response.json()["id"])

                yield Service(upload, lambda image_id: _is_success(api.get(f"/images/{image_id}")), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def report(ours: list[Round], naive: list[Round]) -> str:
    """The table that heads the README's section on performance."""
    shares = [one.emulator_share for one in ours if one.emulator_share is not None]
    rows = [
        [
            "images per second",
            spread([one.per_second for one in ours]),
            spread([one.per_second for one in naive]),
            ratio([one.per_second for one in ours], [one.per_second for one in naive]),
        ],
        [
            "start to first caption, s",
            spread([one.first_caption for one in ours], digits=1),
            spread([one.first_caption for one in naive], digits=1),
            ratio([one.first_caption for one in ours], [one.first_caption for one in naive]),
        ],
        [
            "memory of all processes, MB",
            spread([one.megabytes for one in ours], digits=0),
            spread([one.megabytes for one in naive], digits=0),
            ratio([one.megabytes for one in ours], [one.megabytes for one in naive]),
        ],
    ]
    packages = [required_by(OUR_PACKAGES), NAIVE_PACKAGES]
    sizes = [sum(map(size_bytes, with_dependencies(names))) / 1e6 for names in packages]
    rows.append(["packages installed, MB", *(f"{size:.0f}" for size in sizes), f"{sizes[0] / sizes[1]:.2f}"])
    header = ["", "this pipeline, median (range)", "FastAPI, SQLite, transformers", "ratio"]
    share = f"The emulator of AWS takes {spread(shares, 100, 0)}% of the pipeline's CPU time."
    return f"{table(header, rows)}\n\n{share}\n"


def wait_until(holds: Callable[[], bool], seconds: float = IMAGE_SECONDS) -> None:
    """Poll until `holds()` is true. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text(encoding="ascii").split())
            except OSError:
                continue  # it has just ended
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def _pss_megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0  # it has just ended
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), 0.0)


def _cpu(service: Service) -> tuple[float, float]:
    """CPU seconds so far: of all processes, and of the emulator."""
    emulator = cpu_seconds(service.emulator_pid) if service.emulator_pid else 0.0
    return sum(map(cpu_seconds, family(service.pid))), emulator


def _is_success(response: httpx.Response) -> bool:
    status = response.raise_for_status().json()["status"]
    if status == "failed":
        raise RuntimeError(f"an image failed: {response.text}")
    return bool(status == "success")


def _responds(api: httpx.Client) -> bool:
    try:
        return api.get("/").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
