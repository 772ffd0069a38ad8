"""A new process that handles `GET /api/images/{id}`, then repeats it if requested. Started by `bench.api`.

It uses only deployed files, and no packages of the development environment.
"""

import importlib
import json
import statistics
import sys
import time


class Context:
    aws_request_id = "request"
    function_name = "api"


def main() -> None:
    """Entry point: module of the handler, file with the event, number of warm calls."""
    module, path, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # pathlib is not what is measured
        event = json.load(file)
    handler = importlib.import_module(module).handler
    response = handler(event, Context())
    sys.stdout.write(json.dumps({"answered": response["statusCode"]}) + "\n")
    sys.stdout.flush()
    if calls:
        sys.stdout.write(json.dumps(_warm(handler, event, calls)) + "\n")


def _warm(handler: object, event: object, calls: int) -> dict[str, float]:
    """Median seconds of a call, of its read, and of the rest."""
    from image_core.stores.images import Records

    get, read = Records.get, []

    def timed(*arguments: object) -> object:
        started = time.perf_counter()
        try:
            return get(*arguments)  # type: ignore[arg-type]
        finally:
            read.append(time.perf_counter() - started)

    Records.get = timed  # type: ignore[assignment,method-assign]
    whole = []
    for _ in range(calls):
        started = time.perf_counter()
        handler(event, Context())  # type: ignore[operator]
        whole.append(time.perf_counter() - started)
    rest = [call - part for call, part in zip(whole, read, strict=True)]
    return {name: statistics.median(times) for name, times in (("call", whole), ("read", read), ("rest", rest))}


if __name__ == "__main__":
    main()
