"""moto as it comes, in a process of its own: `python -m tests.local.plain_moto` prints its port."""

from __future__ import annotations

from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """pytest shows what goes wrong."""


if __name__ == "__main__":
    application: Any = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, request_handler=_QuietHandler)
    print(server.server_port, flush=True)
    server.serve_forever()
