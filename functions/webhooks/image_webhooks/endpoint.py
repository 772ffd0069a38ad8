"""The URL that receives the webhooks. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

# WebhookUrl in template.yaml has the same pattern, without http.
_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[::1\])(:(?P<port>{_PORT}))?(?P<target>[/?][!\"$-~]*)?"
)
THIS_MACHINE = "host.docker.internal"
"""The name of this machine in the containers of `sam local`."""


class InvalidEndpoint(ValueError):
    """The URL cannot receive webhooks. The message does not contain its path and query."""


@dataclass(frozen=True)
class Endpoint:
    """The parts of the URL. `target` is its path with the query, which may contain a token: do not log it."""

    is_tls: bool
    host: str
    port: int
    target: str


def parse_endpoint(url: str, *, plain_http: bool = False, in_container: bool = False) -> Endpoint:
    """Parse a URL. Raises `InvalidEndpoint` unless it begins with https://.

    With `plain_http` (not on AWS), an http URL of this machine is accepted too. It has another name in a container.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidEndpoint("a webhook URL is https://HOST[:PORT][/PATH], without user, password and fragment")
    host, is_tls = found["host"].strip("[]"), found["scheme"] == "https"
    if not is_tls and not (plain_http and (_is_loopback(host) or (in_container and host == THIS_MACHINE))):
        raise InvalidEndpoint("a webhook URL must begin with https://; without TLS only this machine can be called")
    if is_tls and ":" in host:
        raise InvalidEndpoint("a webhook URL must name a host")
    target = found["target"] or "/"
    return Endpoint(
        is_tls=is_tls,
        host=host,
        port=int(found["port"] or (443 if is_tls else 80)),
        target=target if target.startswith("/") else f"/{target}",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
