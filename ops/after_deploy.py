"""`python -m ops.after_deploy [ENV]`: the last step of `make deploy`.

It limits the container registry to the newest images, and prints how to run the smoke test.
"""

from __future__ import annotations

import argparse
import sys
import tomllib

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.template import ROOT, read_template
from ops.preflight import deployment
from ops.registry import KEPT_IMAGES, expire_old_images


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code. A rule that cannot be set is not a failure, because the stack is
    deployed."""
    parser = argparse.ArgumentParser(prog="python -m ops.after_deploy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env", nargs="?", default="default", metavar="ENV", help="section of samconfig.toml")
    parser.add_argument("--endpoint-url", metavar="URL", help="the URL of an emulator instead of AWS")
    given = parser.parse_args(arguments)
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    deployed = deployment(config, given.env, read_template())
    session = boto3.Session(region_name=deployed.region)
    try:
        kept = expire_old_images(
            session.client("cloudformation", endpoint_url=given.endpoint_url),
            session.client("ecr", endpoint_url=given.endpoint_url),
            deployed.stack_name,
        )
        for repository in kept:
            print(f"{repository} keeps the newest {KEPT_IMAGES} images; older ones expire.")
    except (BotoCoreError, ClientError) as error:
        print(
            f"The container registry keeps all images, and costs more with each: {error}. To set its rule, run "
            f"`python -m ops.after_deploy {given.env}` with permission for ecr:PutLifecyclePolicy.",
            file=sys.stderr,
        )
    print(f"Test it now (about a minute; writes a report):  make smoke STACK={deployed.stack_name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
