"""`python -m local`: runs the whole pipeline on this machine until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from local import logs
from local.banner import banner
from local.options import Options, parse
from local.ports import PortInUse
from local.stack import LocalStack, StartFailed
from local.stack_files import FolderInUse
from local.template import UnknownParameter, UnknownTiming


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Entry point. Returns 0 after Ctrl-C or SIGTERM, 1 if something could not start or ended unexpectedly."""
    options = parse(sys.argv[1:], os.environ)
    # SIGINT too: a background process of a script inherits an ignored SIGINT, which could not stop it.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        stack = LocalStack(options)
    except (FolderInUse, PortInUse, UnknownParameter, UnknownTiming) as error:
        print(f"python -m local: {error}", file=sys.stderr)
        return 1
    try:
        logs.write("local", "starting …")
        if stack.files.other_url is not None:
            where = stack.files.env_file.parent
            logs.write(
                "local", f"another stack runs at {stack.files.other_url}; the files of this one are in {where}"
            )
        stack.start()
        print(_banner(stack, options), flush=True)
        logs.write("local", stack.wait())
        return 1
    except KeyboardInterrupt:
        logs.write("local", "stopping …")
        return 0
    except StartFailed as error:
        logs.write("local", str(error))
        return 1
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        stack.stop()


def _banner(stack: LocalStack, options: Options) -> str:
    return banner(
        stack.description(),
        stack.health(),
        external=options.aws_endpoint is not None,
        is_processing=options.sam or options.workers > 0,
        upgrades_model=stack.upgrades_model,
        other_url=stack.files.other_url,
    )


if __name__ == "__main__":
    sys.exit(main())
