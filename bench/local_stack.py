"""`python -m bench.local_stack`: whether speed and memory of the local stack stay constant over many uploads.

Uploads are sent in batches of a hundred. A batch ends when all of its images are processed. Other benchmarks also
use `local_stack` to start a stack.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench.report import check_bound, machine, table

START_SECONDS = 180
STOP_SECONDS = 30
HUNDRED = 100
HUNDRED_SECONDS = 600
FINISHED = ("success", "failed")
SLOWER_AT_MOST, MEGABYTES_MORE_AT_MOST = 1.3, 300


@dataclass(frozen=True)
class LocalStack:
    """A running stack: the URL of its API, the process ids of our application and of the emulator (moto), and the
    file with which `ops` finds it."""

    api_url: str
    api_pid: int
    aws_pid: int
    file: Path


@contextmanager
def local_stack(*options: str) -> Iterator[LocalStack]:
    """Run a stack during the block. If it does not start, its log is shown."""
    with tempfile.TemporaryDirectory() as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "log"
        command = [sys.executable, "-m", "local", "--port", "0", "--aws-port", "0", "--model", "demo"]
        command += ["--ready-file", str(ready), "--env-file", str(Path(folder) / "env.json"), *options]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the stack did not start:\n{log.read_text(encoding='utf-8')}")
                time.sleep(0.1)
            started = json.loads(ready.read_text(encoding="utf-8"))
            pids, file = started["pids"], Path(folder) / "stack.json"
            yield LocalStack(started["api_url"], pids["api"][0], pids["aws"][0], file)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, in all threads."""
    if sys.platform != "linux":
        return _seconds(_ps(pid, "time"))
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Current memory of a process."""
    if sys.platform != "linux":
        return int(_ps(pid, "rss")) * 1024 / 1e6
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ps(pid: int, what: str) -> str:
    command = ["ps", "-o", f"{what}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _seconds(text: str) -> float:
    """Convert a time such as 62:03.45 to seconds."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


@dataclass(frozen=True)
class Hundred:
    """The cost of a hundred uploads. `cpu_seconds` and `megabytes` are those of the emulator."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def main() -> None:
    """Entry point. Exit code 1 if the statistics differ from a recount."""
    parser = argparse.ArgumentParser(prog="python -m bench.local_stack", description=__doc__)
    parser.add_argument(
        "--uploads", type=int, default=1000, help="number of uploads, a multiple of 100; default: %(default)s"
    )
    parser.add_argument("--clients", type=int, default=2, help="number of parallel uploads; default: %(default)s")
    arguments = parser.parse_args()
    where = machine("moto", "fastapi")
    with local_stack() as stack, httpx.Client(base_url=stack.api_url, timeout=60) as api:
        start = resident_megabytes(stack.aws_pid)
        upload(api, range(-HUNDRED, 0), arguments.clients)  # not counted: modules are still being loaded
        wait_for(api, HUNDRED)
        hundreds = []
        for first in range(0, arguments.uploads, HUNDRED):
            began, computed = time.monotonic(), cpu_seconds(stack.aws_pid)
            upload(api, range(first, first + HUNDRED), arguments.clients)
            wait_for(api, first + 2 * HUNDRED)
            seconds, spent = time.monotonic() - began, cpu_seconds(stack.aws_pid) - computed
            hundreds.append(Hundred(seconds, spent, resident_megabytes(stack.aws_pid)))
            print(
                f"{first + HUNDRED:6}: {seconds:6.2f} s, emulator {spent:6.2f} s, {hundreds[-1].megabytes:6.0f} MB",
                file=sys.stderr,
                flush=True,
            )
        stats, recount = statistics(api), listed(api)
    print(f"\n## {arguments.uploads} small uploads through the local stack\n\n{where}\n")
    print(report(start, hundreds))
    same = stats == recount
    print(f"- statistics {dict(stats)}, recount of the list {dict(recount)}: {'equal' if same else 'DIFFERENT'}")
    sys.exit(0 if same else 1)


def upload(api: httpx.Client, numbers: range, clients: int) -> None:
    """Post a picture for each of `numbers`, `clients` at a time."""

    def post(number: int) -> None:
        response = api.post("/api/images", files={"file": (f"{number}.png", picture(number))})
        response.raise_for_status()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(post, numbers))


def picture(number: int) -> bytes:
    """A tiny PNG, different for each number."""
    body = io.BytesIO()
    pixels = (number % 2**32).to_bytes(4, "big") * (16 * 16 * 3 // 4)
    Image.frombytes("RGB", (16, 16), pixels).save(body, "PNG")
    return body.getvalue()


def wait_for(api: httpx.Client, images: int) -> None:
    """Wait until this number of images is processed."""
    deadline = time.monotonic() + HUNDRED_SECONDS
    while statistics(api)["success"] < images:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{images} images are not processed: {dict(statistics(api))}")
        time.sleep(0.5)


def statistics(api: httpx.Client) -> Counter[str]:
    """The counters that are not 0."""
    stats: Mapping[str, Any] = api.get("/api/stats").raise_for_status().json()
    return +Counter({name: stats[name] for name in ("in_progress", *FINISHED)})


def listed(api: httpx.Client) -> Counter[str]:
    """Count the whole list, in the format of `statistics`."""
    found: Counter[str] = Counter()
    parameters: dict[str, Any] = {"limit": 100}
    while True:
        page = api.get("/api/images", params=parameters).raise_for_status().json()
        statuses = (image["status"] for image in page["data"])
        found.update(status if status in FINISHED else "in_progress" for status in statuses)
        if page["next_cursor"] is None:
            return found
        parameters["cursor"] = page["next_cursor"]


def report(start: float, hundreds: list[Hundred]) -> str:
    """Report ratios, and the batches behind them. `start`: megabytes before the first batch."""
    first, middle, last = (hundreds[number] for number in (0, len(hundreds) // 2, -1))
    rows = [
        [name, f"{one.seconds:.1f}", f"{one.cpu_seconds:.2f}", f"{one.megabytes:.0f}"]
        for name, one in (("first", first), ("middle", middle), ("last", last))
    ]
    return "\n".join(
        [
            check_bound(
                "last hundred as slow as the first, times",
                last.seconds / first.seconds,
                SLOWER_AT_MOST,
                at_least=False,
            ),
            check_bound(
                "the same in the emulator's CPU time",
                last.cpu_seconds / first.cpu_seconds,
                SLOWER_AT_MOST,
                at_least=False,
            ),
            check_bound(
                "emulator's MB above its start", last.megabytes - start, MEGABYTES_MORE_AT_MOST, at_least=False
            ),
            "",
            table(["hundred", "seconds", "emulator's CPU, s", "emulator's memory, MB"], rows),
            f"\nMemory at the start {start:.0f} MB; a hundred before the first is not counted.\n",
        ]
    )


if __name__ == "__main__":
    main()
