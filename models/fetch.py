"""Download a checkpoint from the Hugging Face hub: only the needed files, with a progress bar and resume.

Each file is compared with the checksum that the hub reports for it at that commit.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Lock
from typing import Any

from image_core.errors import ModelError
from image_processor.captioning.model_folder import sha256_of

REPOSITORY = "Salesforce/blip-image-captioning-base"
REVISION = "82a37760796d32b1411fe092ab5d4e227313294b"
LICENSE = "BSD-3-Clause"

DESCRIPTIONS = ("*config.json", "tokenizer.json", "vocab.txt", "special_tokens_map.json")
WEIGHTS = (
    ("*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)
"""Weight files in the order of preference."""


class HubUnreachable(Exception):
    """The hub does not respond, or not as expected. The message says what was tried and what to do."""


@dataclass(frozen=True)
class Snapshot:
    """A repository's files at one commit, in huggingface_hub's cache."""

    folder: Path
    commit: str


OnProgress = Callable[[int, int], None]
"""Called with the downloaded bytes and the total bytes."""


def fetch(
    repository: str = REPOSITORY, revision: str = REVISION, *, on_progress: OnProgress | None = None
) -> Snapshot:
    """Download the files of an export, and check them. Raises `HubUnreachable`, or `ModelError` about a wrong file.

    Files of an interrupted call are kept. With `on_progress`, no progress bar is shown.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        described = HfApi().model_info(repository, revision=revision, files_metadata=True)
        commit, siblings = str(described.sha), list(described.siblings or ())
        names = needed([one.rfilename for one in siblings])
        bar = None
        if on_progress:
            sizes = {one.rfilename: one.size or 0 for one in siblings if one.rfilename in names}
            here = [name for name in sizes if _is_cached(repository, name, commit)]
            done, total = sum(sizes[name] for name in here), sum(sizes.values())
            on_progress(done, total)
            bar = _progress_bar(on_progress, done, total)
        folder = Path(snapshot_download(repository, revision=commit, allow_patterns=list(names), tqdm_class=bar))
    except (OSError, LocalEntryNotFoundError, _http_error()) as error:
        raise HubUnreachable(
            f"cannot fetch {repository}@{revision} from the Hugging Face hub: {_first_line(error)}\n"
            "Try again later (the download will resume), or use a local checkpoint: --from FOLDER"
        ) from error
    _verify(folder, [one for one in siblings if one.rfilename in names])
    return Snapshot(folder, commit)


def _progress_bar(on_progress: OnProgress, done: int, total: int) -> Any:
    """A class of progress bars for huggingface_hub that shows nothing and calls `on_progress`.

    `done`: the bytes that already exist. The library counts the others in one bar, from several threads. Its other
    bars count files.
    """
    from tqdm import tqdm

    lock = Lock()

    class Reported(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})
            self._counts_bytes = options.get("unit") == "B"

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            if self._counts_bytes:
                with lock:
                    done = min(done + int(n or 0), total)
                    on_progress(done, total)
            return None

    return Reported


def cached(repository: str = REPOSITORY, revision: str = REVISION) -> Path | None:
    """The folder of a snapshot that was already downloaded, without network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _is_cached(repository: str, name: str, commit: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, name, revision=commit), str)


def needed(files: list[str]) -> list[str]:
    """Select the files of a repository that an export reads, with weights in only one format."""
    top = [name for name in files if "/" not in name]
    chosen = [name for name in top if any(fnmatch(name, pattern) for pattern in DESCRIPTIONS)]
    for patterns in WEIGHTS:
        weights = [name for name in top if any(fnmatch(name, pattern) for pattern in patterns)]
        if weights:
            return chosen + weights
    return chosen


def _verify(folder: Path, reported: Iterable[Any]) -> None:
    """Raise `ModelError` at the first file that differs from what the hub reports, and remove it from the cache.

    The hub reports a SHA-256 for large files and git's own SHA-1 for small ones.
    """
    for file in reported:
        path = folder / file.rfilename
        if file.lfs is not None:
            kind, expected, found = "SHA-256", file.lfs.sha256, sha256_of(path)
        else:
            kind, expected, found = "git blob id", file.blob_id, _git_blob_id(path)
        if found != expected:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise ModelError(
                f"{path} is not what the hub has: its {kind} is {found}, and the hub reports {expected}.\n"
                "It was removed. Try again to download it"
            )


def _git_blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _http_error() -> type[Exception]:
    import httpx

    return httpx.HTTPError


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
