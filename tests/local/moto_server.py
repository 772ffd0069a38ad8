"""Run moto with all services in a process: `python -m tests.local.moto_server [--patched]` prints its port."""

from __future__ import annotations

import sys
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local import moto_patches


class _QuietHandler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log no requests: pytest shows what goes wrong."""


if __name__ == "__main__":
    if "--patched" in sys.argv:
        moto_patches.apply()
    application: Any = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, request_handler=_QuietHandler)
    print(server.server_port, flush=True)
    server.serve_forever()
