"""Listening sockets. They are opened before anything starts, so that a busy port is reported first."""

from __future__ import annotations

import errno
import ipaddress
import json
import socket
import subprocess
import sys
from dataclasses import dataclass

_DOCKER_SECONDS = 10


class PortInUse(Exception):
    """Another program listens on the port."""


def listen(host: str, port: int, *, option: str, interface: str | None = None) -> socket.socket:
    """Open a listening socket for a child. `option` is the flag that changes the port.

    `interface` (Linux): the only network interface through which connections are accepted. Without it, Linux
    accepts packets for any address of this machine on any interface, so a neighbor needs only a route.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if interface is not None and sys.platform == "linux":  # see `listen_for_containers`
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"port {port} is in use by another program; choose one with {option}") from error
        raise PortInUse(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with {option}"
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL of the socket on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen_for_containers(port: int, *, option: str) -> socket.socket | None:
    """Open a socket at the address that Docker containers use for this machine.

    None if containers reach the loopback interface: Docker Desktop forwards to it, and has no bridge here.
    """
    if sys.platform != "linux":
        return None
    bridge = docker_bridge()
    try:
        with socket.socket() as probe:
            probe.bind((bridge.address, 0))
    except OSError:
        return None
    return listen(bridge.address, port, option=option, interface=bridge.interface)


@dataclass(frozen=True)
class Bridge:
    """Docker's default bridge. `host.docker.internal:host-gateway` resolves to its address."""

    address: str = "172.17.0.1"
    interface: str = "docker0"


def docker_bridge() -> Bridge:
    """Read the bridge from Docker. The usual one if Docker does not respond."""
    command = ["docker", "network", "inspect", "bridge"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=_DOCKER_SECONDS, check=True)
        (network,) = json.loads(found.stdout)
        (addresses, *_) = network["IPAM"]["Config"]
        # Docker reports the gateway only if it was configured. Otherwise it is the first address of the subnet.
        address = addresses.get("Gateway") or str(next(ipaddress.ip_network(addresses["Subnet"]).hosts()))
        return Bridge(address, network["Options"]["com.docker.network.bridge.name"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return Bridge()
