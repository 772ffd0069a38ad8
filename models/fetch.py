"""Fetches a checkpoint from the Hugging Face hub: the files that are needed, with a progress bar, resuming."""

from fnmatch import fnmatch
from pathlib import Path

REPOSITORY = "Salesforce/blip-image-captioning-base"
REVISION = "82a37760796d32b1411fe092ab5d4e227313294b"
LICENCE = "BSD-3-Clause"

DESCRIPTIONS = ("*config.json", "tokenizer.json", "vocab.txt", "special_tokens_map.json")
WEIGHTS = (
    ("*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)
"""In the order of preference."""


class HubUnreachable(Exception):
    """The hub does not answer, or not with what it should; the message says what was tried and what else can be."""


def fetch(repository: str = REPOSITORY, revision: str = REVISION) -> Path:
    """The folder of a snapshot, in huggingface_hub's cache. Raises `HubUnreachable`."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        files = HfApi().list_repo_files(repository, revision=revision)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(needed(files))))
    except (OSError, LocalEntryNotFoundError, _http_error()) as error:
        raise HubUnreachable(
            f"cannot fetch {repository}@{revision} from the Hugging Face hub: {_first_line(error)}\n"
            "Try again later (what has been fetched is kept), or use a checkpoint that is here: --from FOLDER"
        ) from error


def cached(repository: str = REPOSITORY, revision: str = REVISION) -> Path | None:
    """The folder of a snapshot that has been fetched before, without network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def hub_answers(timeout_seconds: float = 3.0) -> bool:
    """Whether the hub can be reached, in about the time given."""
    import httpx
    from huggingface_hub import constants

    address = f"{constants.ENDPOINT}/api/models/{REPOSITORY}/revision/{REVISION}"
    try:
        return httpx.head(address, timeout=timeout_seconds, follow_redirects=True).is_success
    except httpx.HTTPError:
        return False


def needed(files: list[str]) -> list[str]:
    """Of the files of a repository, those that an export reads; weights in one format only."""
    top = [name for name in files if "/" not in name]
    chosen = [name for name in top if any(fnmatch(name, pattern) for pattern in DESCRIPTIONS)]
    for patterns in WEIGHTS:
        weights = [name for name in top if any(fnmatch(name, pattern) for pattern in patterns)]
        if weights:
            return chosen + weights
    return chosen


def _http_error() -> type[Exception]:
    import httpx

    return httpx.HTTPError


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
