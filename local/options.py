"""The options of `python -m local`: flags, and environment variables for the values that `make run` passes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_core import renditions
from image_webhooks.endpoint import parse_endpoint
from image_webhooks.signing import signing_key
from local.template import ROOT

EMULATORS = ("moto", "ministack")
MINISTACK = ROOT / ".venv-ministack"
DEMO_MODEL = ROOT / "models" / "demo" / "exported"

LOCAL_PARAMETERS = {"ApiKeyRequired": "false"}
"""With this host, only this machine can call the API."""
LOCAL_TIMING = {
    "Processor": {"Timeout": 20, "VisibilityTimeout": 35, "PendingTimeout": 30},
    "Recovery": {"Timeout": 20, "VisibilityTimeout": 35},
}
"""Short enough to see recovery: the image of a killed worker is processed again after half a minute."""
CONTAINER_TIMING = {
    "Processor": {"VisibilityTimeout": 135, "PendingTimeout": 135},
    "Recovery": {"VisibilityTimeout": 135},
}
"""`sam local` reads the functions' timeouts from template.yaml."""


@dataclass(frozen=True)
class Options:
    """The parsed options. A port of 0 means any free one. `parameters` and `timing` are those of template.yaml.

    `secret_values`: values of the template's secrets, by logical id. Others are generated.
    `containers`: Docker containers must be able to reach the emulator.
    `model`: `auto`, `blip`, `demo`, or a model folder.
    """

    host: str
    port: int
    aws_port: int
    emulator: str
    containers: bool
    aws_endpoint: str | None
    workers: int
    model: str
    sweep_seconds: float
    parameters: dict[str, str]
    secret_values: dict[str, str]
    timing: dict[str, dict[str, int]]
    env_file: Path | None
    ready_file: Path | None
    sam: bool

    @property
    def model_folder(self) -> Path | None:
        """The folder of the caption model. None if the processor chooses it."""
        if self.model in ("auto", "blip"):
            return None
        return DEMO_MODEL if self.model == "demo" else Path(self.model).resolve()


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Parse the command line. Exits with a message if it is invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m local", description="Runs the whole pipeline on this machine. Ctrl-C stops it."
    )
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="address that the API listens on (%(default)s). With any other address, everyone who can reach it can "
        "use the API, which requires no key here. With 0.0.0.0, clients may use any address or name of this "
        "machine",
    )
    add(
        "--port", type=_port, default=environment.get("PORT") or "8000", help="port of the API ($PORT, %(default)s)"
    )
    add(
        "--aws-port",
        type=_port,
        default=environment.get("AWS_PORT") or "4566",
        help="port of the emulator, which only this machine can reach ($AWS_PORT, %(default)s)",
    )
    add(
        "--containers",
        action="store_true",
        help="let Docker containers on this machine reach the emulator too, for `sam local`; implied by --sam",
    )
    add(
        "--emulator",
        choices=EMULATORS,
        default=environment.get("EMULATOR") or "moto",
        help="moto loses all data when it stops; ministack is faster and keeps data in .local/data. "
        "`make run EMULATOR=ministack` installs it ($EMULATOR, %(default)s)",
    )
    add(
        "--aws-endpoint",
        metavar="URL",
        help="use the AWS endpoint at this URL and start no emulator. Credentials and region come from AWS_… "
        "variables. For an emulator: AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test",
    )
    add(
        "--workers",
        type=_count,
        default=environment.get("WORKERS") or "2",
        help="number of processor processes; with 0, images wait until something else, such as a container, "
        "receives their messages ($WORKERS, %(default)s)",
    )
    add(
        "--model",
        default=environment.get("MODEL") or "auto",
        help="caption model: auto (the demo model until BLIP is downloaded, in the background), blip (wait for the "
        "download), demo (never download), or a model folder ($MODEL, %(default)s)",
    )
    add(
        "--thumbnails",
        type=_thumbnails,
        default=environment.get("THUMBNAILS") or None,
        metavar="TABLE",
        help="pictures to make of each image, e.g. small=150,medium=300,large=1280:webp ($THUMBNAILS, the "
        "template's default)",
    )
    add(
        "--webhook-url",
        type=_webhook_url,
        default=environment.get("WEBHOOK_URL") or None,
        metavar="URL",
        help="send a webhook to this URL for each image that was processed, failed or deleted: https://…, or "
        "http://127.0.0.1:… for a receiver on this machine. Its secret is $WEBHOOK_SECRET (whsec_…), or else is "
        "generated and printed ($WEBHOOK_URL)",
    )
    add(
        "--sam",
        action="store_true",
        help="run all functions in Lambda's containers: `sam local` instead of processes (after `sam build`)",
    )
    add("--sweep-seconds", type=_seconds, default=10.0, help="seconds between runs of the sweep (%(default)s)")
    add(
        "--parameter",
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml, e.g. MaxImagePixels=50000000; may be repeated",
    )
    add(
        "--timing",
        type=_time,
        action="append",
        default=[],
        metavar="FUNCTION.NAME=SECONDS",
        help="a time of template.yaml, e.g. Processor.Timeout=5; may be repeated",
    )
    add(
        "--env-file",
        type=Path,
        help="where to write the file for `sam local --env-vars`; stack.json for `python -m ops` is written next "
        "to it (.local/env.json; .local/PORT/env.json while another stack runs)",
    )
    add("--ready-file", type=Path, help="write URLs and names to this file, as JSON, once everything is ready")
    given = parser.parse_args(arguments)
    _check_model(parser, given.model)
    webhook_secret = _webhook_secret(parser, environment.get("WEBHOOK_SECRET") or None, given.webhook_url)
    if given.sam and given.model != "auto":
        parser.error("--model cannot be used with containers, which have the models that were built into them")
    return Options(
        host=given.host,
        port=given.port,
        aws_port=given.aws_port,
        emulator=_emulator(parser, given),
        containers=given.containers or given.sam,
        aws_endpoint=given.aws_endpoint.rstrip("/") if given.aws_endpoint else None,
        workers=given.workers,
        model=given.model,
        sweep_seconds=given.sweep_seconds,
        parameters={
            **LOCAL_PARAMETERS,
            **({"Thumbnails": given.thumbnails} if given.thumbnails else {}),
            **({"WebhookUrl": given.webhook_url} if given.webhook_url else {}),
            **dict(given.parameter),
        },
        secret_values={"WebhookSecret": webhook_secret} if webhook_secret else {},
        timing=_timing(CONTAINER_TIMING if given.sam else LOCAL_TIMING, given.timing),
        env_file=given.env_file,
        ready_file=given.ready_file,
        sam=given.sam,
    )


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a port: expected a number from 0 (any free port) to 65535"
        )
    return port


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more (got {text!r})")
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, more than 0 (got {text!r})")
    return seconds


def _thumbnails(text: str) -> str:
    try:
        renditions.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _webhook_url(text: str) -> str:
    try:
        parse_endpoint(text, plain_http=True)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _webhook_secret(parser: argparse.ArgumentParser, secret: str | None, url: str | None) -> str | None:
    """Check the secret. It is not a flag, because every user of this machine can see the flags of a process."""
    if secret is not None:
        if url is None:
            parser.error("WEBHOOK_SECRET is set, but WEBHOOK_URL is not")
        try:
            signing_key(secret)
        except ValueError as error:
            parser.error(f"WEBHOOK_SECRET: {error}")
    return secret


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _time(text: str) -> tuple[str, str, int]:
    name, equals, value = text.partition("=")
    function, dot, time = name.partition(".")
    if not equals or not dot or not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not FUNCTION.NAME=SECONDS")
    return function, time, int(value)


def _timing(
    defaults: Mapping[str, Mapping[str, int]], given: Sequence[tuple[str, str, int]]
) -> dict[str, dict[str, int]]:
    timing = {function: dict(times) for function, times in defaults.items()}
    for function, name, value in given:
        timing.setdefault(function, {})[name] = value
    return timing


def _emulator(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    emulator: str = given.emulator
    # argparse does not check a default, which may come from the environment.
    if emulator not in EMULATORS:
        parser.error(f"EMULATOR={emulator}: choose from {', '.join(EMULATORS)}")
    if emulator == "ministack" and not given.aws_endpoint and not (MINISTACK / "installed").exists():
        parser.error("MiniStack is not installed. `make run EMULATOR=ministack` installs it.")
    return emulator


def _check_model(parser: argparse.ArgumentParser, model: str) -> None:
    if model not in ("auto", "blip", "demo") and not Path(model).is_dir():
        parser.error(f"--model: {Path(model).resolve()} is not a folder")
