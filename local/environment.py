"""The environment variables of the local processes."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from local.deploy import FunctionConfiguration
from local.template import ROOT

REGION = "us-east-1"
DUMMY_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def models_folder() -> Path:
    """The folder in which the functions find caption models: `exported` and `demo`."""
    return Path(os.environ.get("MODELS_DIR") or ROOT / "models")


def credentials(*, external: bool) -> dict[str, str]:
    """AWS variables for the endpoint: the caller's own if it is external, else dummy values.

    A developer's profile must not be sent to the emulator, and must not change its URL.
    """
    if external:
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {
        **DUMMY_CREDENTIALS,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def process_environment(aws: Mapping[str, str], *, region: str) -> dict[str, str]:
    """The environment of every child: the caller's, with AWS settings replaced by `aws` and no proxy for this
    host."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    direct = {name: _with_local_hosts(plain.get(name, "")) for name in ("NO_PROXY", "no_proxy")}
    return {**plain, **direct, **aws, "AWS_REGION": region, "AWS_DEFAULT_REGION": region, "PYTHONUNBUFFERED": "1"}


def emulator_environment(process: Mapping[str, str]) -> dict[str, str]:
    """The emulator's environment. It hides the Docker engine, because moto would start containers."""
    plain = {name: value for name, value in process.items() if not name.startswith("DOCKER_")}
    return {**plain, "DOCKER_HOST": f"unix://{os.devnull}"}


def _with_local_hosts(no_proxy: str) -> str:
    return ",".join(filter(None, [no_proxy, "127.0.0.1", "localhost"]))


def function_environment(
    process: Mapping[str, str], name: str, function: FunctionConfiguration, *, endpoint_url: str, workers: int = 1
) -> dict[str, str]:
    """A function's environment: its variables in the template, Lambda's, and the emulator's URL."""
    # If two workers each used every CPU, they would wait for each other most of the time.
    threads = str(max(1, (os.cpu_count() or 1) // max(1, workers)))
    return {
        "OMP_NUM_THREADS": threads,
        **process,
        "MODELS_DIR": str(models_folder()),
        **function.environment,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_megabytes),
    }


def sam_environment(
    functions: Mapping[str, FunctionConfiguration], *, endpoint_url: str
) -> dict[str, dict[str, str]]:
    """The contents of a file for `sam local --env-vars`. Containers use another host name for this machine."""
    return {
        logical_id: {
            **function.environment,
            "LOCAL_ENDPOINT_URL": in_container(endpoint_url),
            "S3_PUBLIC_ENDPOINT_URL": endpoint_url,
            "QUEUE_URL": in_container(function.environment["QUEUE_URL"]),
            **{
                name: in_container(function.environment[name])
                for name in ("WEBHOOK_QUEUE_URL", "WEBHOOK_URL")
                # Certificates of this machine do not have its name for containers.
                if function.environment.get(name, "https:").startswith("http:")
            },
        }
        for logical_id, function in functions.items()
    }


def in_container(url: str) -> str:
    """The URL of the same server for containers, in which this machine is `host.docker.internal`."""
    parts = urlsplit(url)
    if not _is_this_machine(parts.hostname or ""):
        return url
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"host.docker.internal{port}").geturl()


def _is_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
