"""Start and stop all parts of the local stack, in order."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from image_core.services import connect
from image_core.settings import Settings
from local import environment, ports
from local.child import Child, describe_exit
from local.containers import CONTAINER_START_SECONDS, ContainerFunction, SamLocal, free_port, lambda_client
from local.deploy import Deployment, deploy
from local.event_source import SqsPoller
from local.function import Function, LocalFunction
from local.gate import page_origins
from local.kept_data import KeptData
from local.model import DownloadFailed, ModelDownload, ModelUpgrade, name_of
from local.options import MINISTACK, Options
from local.private_files import write_private_json
from local.reconcile import reconcile
from local.schedule import Schedule
from local.stack_files import FOLDER, claim
from local.stream_source import StreamPoller
from local.template import parameter_values, read_template, with_timing

_START_SECONDS = 180.0
# The command line of the processor's workers must contain `processor`.
_NAMES = {
    "ProcessorFunction": "processor",
    "RecoveryFunction": "recovery",
    "StreamFunction": "stream",
    "WebhooksFunction": "webhooks",
}
_API = "ApiFunction"
# Time for the API to finish its responses, for `sam local` to remove its containers, and for the emulator to save
# its data or to remove the files of objects.
_GRACE_SECONDS = {"api": 30, "lambda": 30, "aws": 30}

# The port of `sam local start-api` if it is started manually. samconfig.toml sets it.
SAM_PORT = 3000


class StartFailed(Exception):
    """A part of the stack did not start. The message says which."""


class LocalStack:
    """The pipeline on this machine. `start` returns once everything is ready. `stop` leaves nothing behind.

    Creating it starts nothing, but raises an error for a busy port, an unknown parameter or time, and the files of
    another stack.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._template = with_timing(read_template(), options.timing)
        self._parameters = parameter_values(self._template, options.parameters)
        self._stopping = threading.Event()
        self._children: list[Child] = []
        self._threads: list[threading.Thread] = []
        self.functions: dict[str, Function] = {}
        self._api_socket = ports.listen(options.host, options.port, option="PORT= or --port")
        self._aws_sockets = [] if options.aws_endpoint else _listen_for_the_emulator(options)
        self._data = _kept_data(options)
        self._is_recovered = False
        self.api_url = ports.url_of(self._api_socket)
        self.aws_url = options.aws_endpoint or ports.url_of(self._aws_sockets[0])
        self.files = claim(options.env_file, port=self._api_socket.getsockname()[1], api_url=self.api_url)
        self.deployment: Deployment
        self._model_download = ModelDownload(environment.models_folder() / "exported")

    # Start

    def start(self) -> None:
        """Start everything. Raises `StartFailed`."""
        external = self._options.aws_endpoint is not None
        aws = environment.credentials(external=external)
        region = aws.get("AWS_REGION") or aws.get("AWS_DEFAULT_REGION") or environment.REGION
        process_env = environment.process_environment(aws, region=region)
        if self._options.model == "blip" and not self._model_download.is_done:
            self._wait_for_model()
        if self._aws_sockets:
            self._start_emulator(process_env)
        session = _session(external=external, region=region)
        try:
            self.deployment = deploy(
                self._template,
                self._parameters,
                session=session,
                endpoint_url=self.aws_url,
                api_url=self.api_url,
                secret_values=self._options.secret_values,
            )
        except (BotoCoreError, ClientError) as error:
            raise StartFailed(f"cannot set up the stack at {self.aws_url}: {error}") from error

        self._write_files()
        if self._data is not None and self._data.needs_reconcile:
            self._is_recovered = True
            if reconcile(self.files.description, process_env):
                self._data.reconciled()
        if self._options.sam:
            self._start_containers(process_env, session)
        else:
            self._start_functions(process_env)
            self._start_api(process_env)
        self._wait_for_functions()
        sqs = session.client(
            "sqs", endpoint_url=self.aws_url, config=Config(proxies={}, retries={"mode": "standard"})
        )
        for source in self.deployment.event_sources:
            function = self.functions[source.function]
            for _ in range(function.workers):
                self._run(f"{function.name}-queue", SqsPoller(sqs, source, function).run)
        streams = session.client("dynamodbstreams", endpoint_url=self.aws_url, config=Config(proxies={}))
        for stream in self.deployment.stream_sources:
            function = self.functions[stream.function]
            self._run(f"{function.name}-stream", StreamPoller(streams, stream, function).run)
        for logical_id in self.deployment.scheduled_functions:
            function = self.functions[logical_id]
            rule_arn = f"arn:aws:events:{region}:{self.deployment.account}:rule/local-{function.name}"
            schedule = Schedule(function, rule_arn=rule_arn, interval_seconds=self._options.sweep_seconds)
            self._run(f"{function.name}-schedule", schedule.run)
        self._write_ready_file()
        if self._options.model in ("auto", "blip"):
            self._upgrade_model(session)

    def _start_emulator(self, process_env: Mapping[str, str]) -> None:
        fds = [listening.fileno() for listening in self._aws_sockets]
        arguments = [argument for fd in fds for argument in ("--fd", str(fd))]
        arguments += [argument for page in self._pages() for argument in ("--origin", page)]
        env = environment.emulator_environment(process_env)
        module, python = "local.aws", sys.executable
        if self._data is not None:
            module, python = "local.ministack", str(MINISTACK / "bin" / "python")
            arguments += ["--data", str(self._data.folder)]
        child = Child("aws", module, arguments, env, pass_fds=fds, python=python)
        self._children.append(child)
        self._wait_for(self.aws_url, child)
        for listening in self._aws_sockets:
            listening.close()

    def _function_names(self) -> dict[str, str]:
        """The functions that events invoke. There is no webhooks function without a URL."""
        return {logical_id: name for logical_id, name in _NAMES.items() if logical_id in self.deployment.functions}

    def _start_functions(self, process_env: Mapping[str, str]) -> None:
        for logical_id, name in self._function_names().items():
            configuration = self.deployment.functions[logical_id]
            workers = self._options.workers if name == "processor" else 1
            env = environment.function_environment(
                process_env, name, configuration, endpoint_url=self.aws_url, workers=workers
            )
            if name == "processor" and self._options.model_folder:
                env["CAPTION_MODEL_DIR"] = str(self._options.model_folder)
            self.functions[logical_id] = LocalFunction(name, configuration, env, workers=workers)

    def _start_api(self, process_env: Mapping[str, str]) -> None:
        configuration = self.deployment.functions[_API]
        env = environment.function_environment(process_env, "api", configuration, endpoint_url=self.aws_url)
        # The local API accepts uploads of any allowed size, because Lambda's request limit does not apply.
        env["MAX_POST_BYTES"] = configuration.environment["MAX_IMAGE_BYTES"]
        app = f"{configuration.handler.rpartition('.')[0]}:app"
        fd = self._api_socket.fileno()
        arguments = ["--app", app, "--fd", str(fd), "--host", self._options.host]
        arguments += [argument for page in self._allowed_origins() for argument in ("--origin", page)]
        child = Child("api", "local.api", arguments, env, pass_fds=[fd])
        self._children.append(child)
        # Not /health: its response is cached for seconds, and would still say that no caption model is loaded.
        self._wait_for(self.api_url, child)
        self._api_socket.close()

    def _start_containers(self, process_env: Mapping[str, str], session: boto3.Session) -> None:
        """Start SAM's API, and the other functions behind SAM's Lambda."""
        sam = SamLocal(
            self.files.env_file,
            self._parameters,
            process_env,
            host=self._options.host,
            origins=self._allowed_origins(),
        )
        lambda_port, (api_host, api_port) = free_port(), self._api_socket.getsockname()[:2]
        self._api_socket.close()  # SAM opens its own
        self._children += [sam.start_lambda(lambda_port), sam.start_api(api_host, api_port)]
        client = lambda_client(session, lambda_port, self.deployment.functions)
        for logical_id, name in self._function_names().items():
            self.functions[logical_id] = ContainerFunction(name, logical_id, client)
        self._wait_for(f"http://127.0.0.1:{lambda_port}", self._children[-2])
        self._wait_for(self.api_url, self._children[-1], seconds_a_try=CONTAINER_START_SECONDS)

    def _wait_for(self, url: str, child: Child, *, seconds_a_try: float = 1) -> None:
        """Return once `url` responds, with any status."""
        deadline = time.monotonic() + _START_SECONDS
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if child.exit_code is not None:
                raise StartFailed(f"{child.name} did not start: {describe_exit(child.exit_code)}")
            try:
                opener.open(url, timeout=seconds_a_try).close()
                return
            except urllib.error.HTTPError:
                return
            except (OSError, http.client.HTTPException):
                self._stopping.wait(0.05)
        raise StartFailed(f"{child.name} does not respond at {url}")

    def _wait_for_functions(self) -> None:
        failures: list[str] = []
        waiting = [
            threading.Thread(target=_wait_until_ready, args=(function, failures), daemon=True)
            for function in self.functions.values()
        ]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + _START_SECONDS
        for thread in waiting:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                failures.append("a function takes too long to start")
        if failures:
            raise StartFailed("; ".join(failures))

    def _wait_for_model(self) -> None:
        try:
            self._model_download.run(lambda _: None)
        except DownloadFailed as error:
            raise StartFailed(f"{error}; MODEL=auto starts on the demo model") from error

    def _upgrade_model(self, session: boto3.Session) -> None:
        """Replace the demo model and its captions in the background."""
        processor = self.functions["ProcessorFunction"]
        if not isinstance(processor, LocalFunction) or not processor.workers:
            return
        key = {"X-Api-Key": self.deployment.outputs["ApiKey"]} if "ApiKey" in self.deployment.outputs else {}
        upgrade = ModelUpgrade(
            self._model_download,
            processor,
            connect(self._settings(), session=session).records,
            httpx.Client(base_url=self.api_url, headers=key, timeout=60, trust_env=False),
            demo_model=name_of(environment.models_folder() / "demo" / "exported"),
        )
        self._run("model", upgrade.run)

    def _run(self, name: str, target: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=target, args=(self._stopping,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pages(self) -> list[str]:
        """The origins of the pages that upload to the bucket and show its objects."""
        ports_of_pages = [self._api_socket.getsockname()[1]]
        if self._options.containers:
            ports_of_pages.append(SAM_PORT)
        own = {origin for port in ports_of_pages for origin in page_origins(self._options.host, port)}
        return sorted(own | set(self._allowed_origins()))

    def _allowed_origins(self) -> list[str]:
        return [origin for origin in self._parameters["CorsOrigins"].split(",") if origin]

    # While it runs

    def wait(self) -> str:
        """Wait until a server that everything depends on has ended, and return which one."""
        while True:
            for child in self._children:
                if child.exit_code is not None:
                    return f"{child.name} ended: {describe_exit(child.exit_code)}"
            self._stopping.wait(0.5)

    def health(self) -> Any:
        """The API's `/health` response."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.api_url}/health", timeout=10) as response:
            return json.load(response)

    @property
    def upgrades_model(self) -> bool:
        """Whether the demo model will be replaced by the real one."""
        options = self._options
        return (
            options.model == "auto" and options.workers > 0 and not options.sam and not self._model_download.is_done
        )

    def description(self) -> dict[str, Any]:
        """URLs and names, for scripts and tests. `pids` are the current ones."""
        pids = {child.name: [child.pid] for child in self._children}
        pids |= {function.name: function.pids for function in self.functions.values()}
        outputs = {_snake_case(name): value for name, value in self.deployment.outputs.items()}
        return {
            "api_url": self.api_url,
            "aws_endpoint_url": self.aws_url,
            "region": self.deployment.region,
            "emulator": None if self._options.aws_endpoint else self._options.emulator,
            "data_folder": str(self._data.folder) if self._data else None,
            "is_recovered": self._is_recovered,
            "webhook_url": self._parameters["WebhookUrl"] or None,
            **outputs,
            "env_file": str(self.files.env_file),
            "description_file": str(self.files.description),
            "pids": pids,
        }

    def _write_files(self) -> None:
        env = environment.sam_environment(self.deployment.functions, endpoint_url=self.aws_url)
        self.files.write(env=env, description=self._for_ops())

    def _write_ready_file(self) -> None:
        if self._options.ready_file:
            write_private_json(self._options.ready_file, self.description())

    def _for_ops(self) -> dict[str, Any]:
        """The URLs and names of the stack, and the settings of its functions."""
        return {
            "api_url": self.api_url,
            "aws_endpoint_url": self.aws_url,
            "region": self.deployment.region,
            "external": self._options.aws_endpoint is not None,
            "workers": self._options.workers,
            "settings": self._variables(),
        }

    def _variables(self) -> dict[str, str]:
        """The environment variables of all functions."""
        variables: dict[str, str] = {}
        for function in self.deployment.functions.values():
            variables |= function.environment
        return {**variables, "AWS_ENDPOINT_URL": self.aws_url}

    def _settings(self) -> Settings:
        return Settings.model_validate({name.lower(): value for name, value in self._variables().items() if value})

    # Stop

    def stop(self) -> None:
        """Stop every process and thread, and remove the files that describe the stack."""
        self._stopping.set()
        self._model_download.stop()
        self.files.remove()
        for function in self.functions.values():
            function.stop()
        for child in reversed(self._children):
            child.stop(grace_seconds=_GRACE_SECONDS.get(child.name, 0))
        for thread in self._threads:
            thread.join(timeout=5)


def _wait_until_ready(function: Function, failures: list[str]) -> None:
    try:
        function.wait_until_ready()
    except Exception as error:
        failures.append(f"{function.name}: {error}")


def _session(*, external: bool, region: str) -> boto3.Session:
    if external:
        return boto3.Session(region_name=region)
    return boto3.Session(
        region_name=region,
        aws_access_key_id=environment.DUMMY_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment.DUMMY_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")


def _listen_for_the_emulator(options: Options) -> list[socket.socket]:
    """Open the emulator's sockets: on the loopback interface, and on Docker's bridge if containers need it."""
    option = "AWS_PORT= or --aws-port"
    listening = [ports.listen("127.0.0.1", options.aws_port, option=option)]
    if options.containers:
        port = listening[0].getsockname()[1]
        on_bridge = ports.listen_for_containers(port, option=option)
        listening += [on_bridge] if on_bridge else []
    return listening


def _kept_data(options: Options) -> KeptData | None:
    """The data of this checkout, the same for every port; next to `--env-file` if that is given."""
    if options.aws_endpoint or options.emulator != "ministack":
        return None
    return KeptData((options.env_file.parent if options.env_file else FOLDER) / "data")
