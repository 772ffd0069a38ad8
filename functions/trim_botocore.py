"""`python trim_botocore.py DATA SERVICE…`: keep only the data that clients of these services read.

The Makefile next to it and the processor's Dockerfile run it. A cold start parses all of the data: every region of
every service, and the documentation of every operation and shape.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path


def trim(data: Path, services: list[str]) -> None:
    """Trim botocore's folder `data` in place. The result is deterministic."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in services:
            shutil.rmtree(folder)
    for examples in data.glob("*/*/examples-1.json"):
        examples.unlink()
    endpoints = data / "endpoints.json"
    known = json.loads(endpoints.read_text(encoding="utf-8"))
    for partition in known["partitions"]:
        partition["services"] = {name: of for name, of in partition["services"].items() if name in services}
    endpoints.write_text(_compact(known), encoding="utf-8")
    for model in data.glob("*/*/service-2.json.gz"):
        described = _undocumented(json.loads(gzip.decompress(model.read_bytes())))
        model.write_bytes(gzip.compress(_compact(described).encode(), mtime=0))


def _undocumented(described: object) -> object:
    if isinstance(described, list):
        return [_undocumented(one) for one in described]
    if isinstance(described, dict):
        # Emptied, not removed: botocore reads some of them. A structure's member of that name is an object.
        return {
            name: "" if name == "documentation" and isinstance(of, str) else _undocumented(of)
            for name, of in described.items()
        }
    return described


def _compact(known: object) -> str:
    return json.dumps(known, separators=(",", ":"))


if __name__ == "__main__":
    trim(Path(sys.argv[1]), sys.argv[2:])
