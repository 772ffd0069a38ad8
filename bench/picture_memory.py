"""The memory that one way of the picture stage adds to a new process. `bench.images` starts it per file and way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.cold_child import peak_memory
from bench.photographs import PHOTOGRAPHS, Photograph
from bench.picture_ways import WAYS

REFERENCES = Path("/proc/self/clear_refs")
RESET_PEAK = "5"


def peak_above_start(way: str, photograph: Photograph) -> int:
    """Peak memory in bytes, above that of the process after it has loaded its libraries and read the file."""
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.picture_memory", way, photograph.name],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return int(json.loads(run.stdout))


def main() -> None:
    """Entry point of the new process. Arguments: way, name of the photograph."""
    way, name = sys.argv[1:]
    photograph = next(one for one in PHOTOGRAPHS if one.name == name)
    work = WAYS[way]()
    work(photograph.small())
    data = photograph.path.read_bytes()
    REFERENCES.write_text(RESET_PEAK, encoding="ascii")
    before = peak_memory()
    work(data)
    print(json.dumps(peak_memory() - before))


if __name__ == "__main__":
    main()
