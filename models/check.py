"""`python -m models.check [FOLDER …]`: compares model folders with the checksums in their `model.json`.

Without a folder, it checks the existing ones of the repository. Exit code 1 if one is damaged or incomplete.
"""

import argparse
import sys
from pathlib import Path

from image_core.errors import ModelError
from image_processor.captioning.model_folder import MANIFEST_NAME, verify_checksums

ROOT = Path(__file__).parent
FOLDERS = (ROOT / "exported", ROOT / "demo" / "exported", ROOT / "demo" / "checkpoint")


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.check", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    folders = parser.parse_args(arguments).folders or [one for one in FOLDERS if (one / MANIFEST_NAME).is_file()]
    damaged = 0
    for folder in folders:
        try:
            manifest = verify_checksums(folder)
        except ModelError as error:
            damaged = 1
            print(error, file=sys.stderr)
        else:
            print(f"{folder}: {manifest.model}, {len(manifest.files)} files are complete")
    return damaged


if __name__ == "__main__":
    sys.exit(main())
