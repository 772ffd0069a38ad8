"""`python -m bench.api_load`: the API with concurrent clients on the local stack, and its bottleneck.

Calls and numbers of clients are interleaved, round by round. The CPU time of each process shows the bottleneck of a
call: moto handles one request at a time, and our application is one process.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from PIL import Image

from bench.local_stack import LocalStack, cpu_seconds, local_stack
from bench.report import machine, spread, table
from image_processor.cpus import usable_cpus

IMAGES = 60
BUSY = 0.8
"""Share of a core from which a process counts as the bottleneck."""
BOUNDARY = "load"


@dataclass(frozen=True)
class Call:
    """A request that is repeated."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = ""


@dataclass(frozen=True)
class Run:
    """The result of one call with one number of clients. Times in seconds, `busy` in cores."""

    per_second: float
    median: float
    p95: float
    api_cpu: float
    moto_cpu: float
    busy: dict[str, float]

    @property
    def limit(self) -> str:
        """The bottleneck. `latency` means that no process is busy, and each call waits for the steps of the
        previous one."""
        busiest = max(self.busy, key=lambda name: self.busy[name])
        cores = usable_cpus()
        if self.busy[busiest] >= BUSY:
            return busiest
        return "the machine's cores" if sum(self.busy.values()) >= BUSY * cores else "latency"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.api_load", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each run; default: %(default)s")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 4, 16], help="numbers of clients; default: 1 4 16"
    )
    arguments = parser.parse_args()
    where = machine("fastapi", "uvicorn", "moto")
    runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
    with local_stack("--workers", "1") as stack:
        calls = prepare(stack)
        for _ in range(arguments.rounds):
            for name, call in calls.items():
                for clients in arguments.clients:
                    runs[name, clients].append(measure(stack, call, clients, arguments.seconds))
    print(f"\n## API under load\n\n{IMAGES} images, {arguments.rounds} rounds of {arguments.seconds:g} s each.")
    print(f"{where}\n")
    header = [
        "call",
        "clients",
        "requests per second",
        "median, ms",
        "95%, ms",
        "CPU per request, ms: ours",
        "moto",
    ]
    rows = [
        [
            name,
            str(clients),
            spread([run.per_second for run in found], digits=0),
            spread([run.median for run in found], 1000, 1),
            spread([run.p95 for run in found], 1000, 1),
            spread([run.api_cpu for run in found], 1000, 2),
            spread([run.moto_cpu for run in found], 1000, 2),
            ", ".join(sorted({run.limit for run in found})),
        ]
        for (name, clients), found in runs.items()
    ]
    print(table([*header, "limited by"], rows))
    print("\nRequests per second that one of our processes could handle without moto, by its CPU time:\n")
    for name in calls:
        requests_per_second = [
            1 / run.api_cpu for clients in arguments.clients for run in runs[name, clients] if run.api_cpu
        ]
        print(f"- {name}: {spread(requests_per_second, digits=0)}")


def prepare(stack: LocalStack) -> dict[str, Call]:
    """Create processed images, and return the calls to make."""
    upload = Call("POST", "/api/images", *form(picture()))
    ids = [json.loads(send(stack, upload)[1])["image_id"] for _ in range(IMAGES)]
    for image_id in ids:
        while json.loads(send(stack, Call("GET", f"/api/images/{image_id}"))[1])["status"] != "success":
            time.sleep(0.1)
    reservation = json.dumps({"filename": "a.jpg", "content_type": "image/jpeg", "size": 1}).encode()
    return {
        "an image": Call("GET", f"/api/images/{ids[0]}"),
        "a thumbnail": Call("GET", f"/api/images/{ids[0]}/thumbnails/small"),
        "a page of 20": Call("GET", "/api/images?limit=20"),
        "statistics": Call("GET", "/api/stats"),
        "a reservation": Call("POST", "/api/uploads", reservation, "application/json"),
    }


def picture() -> bytes:
    """A small JPEG."""
    body = io.BytesIO()
    Image.new("RGB", (320, 240), (200, 60, 60)).save(body, "JPEG")
    return body.getvalue()


def form(body: bytes) -> tuple[bytes, str]:
    """Build a multipart body, and return it with its content type."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def send(stack: LocalStack, call: Call, connection: http.client.HTTPConnection | None = None) -> tuple[int, bytes]:
    """Make one call, and return its status and body."""
    used = connection or connect(stack)
    headers = {"Content-Type": call.content_type} if call.content_type else {}
    used.request(call.method, call.path, call.body or None, headers)
    response = used.getresponse()
    return response.status, response.read()


def connect(stack: LocalStack) -> http.client.HTTPConnection:
    parts = urlsplit(stack.api_url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)


def measure(stack: LocalStack, call: Call, clients: int, seconds: float) -> Run:
    """Run `clients` threads for `seconds`. Each repeats the call on its own connection."""
    times: list[float] = []
    failures: list[int] = []
    end = time.perf_counter() + seconds

    def work() -> None:
        connection = connect(stack)
        while (started := time.perf_counter()) < end:
            status, _ = send(stack, call, connection)
            times.append(time.perf_counter() - started)
            if status >= 400:
                failures.append(status)

    clocks: dict[str, Callable[[], float]] = {
        "ours": lambda: cpu_seconds(stack.api_pid),
        "moto": lambda: cpu_seconds(stack.aws_pid),
        "the clients": time.process_time,
    }
    before = {name: clock() for name, clock in clocks.items()}
    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    spent = {name: clock() - before[name] for name, clock in clocks.items()}
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(times)} calls failed: {sorted(set(failures))}")
    times.sort()
    return Run(
        per_second=len(times) / elapsed,
        median=times[len(times) // 2],
        p95=times[int(len(times) * 0.95)],
        api_cpu=spent["ours"] / len(times),
        moto_cpu=spent["moto"] / len(times),
        busy={name: used / elapsed for name, used in spent.items()},
    )


if __name__ == "__main__":
    main()
