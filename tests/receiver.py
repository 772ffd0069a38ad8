"""A receiver of webhooks: a real HTTP or HTTPS server on this machine, whose responses a test chooses."""

from __future__ import annotations

import contextlib
import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Received:
    """A request: its path, headers in lower case, and body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> Any:
        """Return the verified content, as a receiver with the package `standardwebhooks` gets it."""
        return Webhook(secret).verify(self.body, self.headers)


Respond = Callable[["Handler"], None]


def status(code: int, **headers: str) -> Respond:
    """Respond with a status and headers (`Retry_After="5"`), without a body."""

    def respond(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return respond


@dataclass
class Receiver:
    """What the server has received, and how it responds: 200 unless a test changes it."""

    url: str
    respond: Respond = field(default_factory=lambda: status(200))
    requests: list[Received] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    """Set at the end: a response that takes forever ends then."""


class Handler(BaseHTTPRequestHandler):
    """Handles the requests of one receiver."""

    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        self.receiver = receiver
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.requests.append(Received(self.path, headers, body))
        with contextlib.suppress(OSError):  # the sender has closed the connection
            self.receiver.respond(self)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Print nothing about clients that reject the certificate."""


@contextmanager
def receiver(*, port: int = 0, certificate: Path | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run a receiver. `certificate` is a file with certificate and key, for TLS."""
    server = _Server((host, port), Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    running = Receiver(
        f"{scheme}://{'localhost' if certificate else '127.0.0.1'}:{server.server_port}/hook?token=t"
    )
    server.RequestHandlerClass = partial(Handler, running)  # type: ignore[assignment]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def self_signed(folder: Path) -> Path:
    """Write a certificate that only itself vouches for, with its key, for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path
