"""Download and export the real caption model while the demo model is in use, then replace it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from image_core.model import NextModel
from image_core.stores.images import Records
from local import logs
from local.child import Child, describe_exit
from local.function import LocalFunction

_MANIFEST_NAME = "model.json"
_UNREACHABLE = 3
"""The exit code of the download if the hub does not respond."""
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 60.0, 3600.0
_LOG_EVERY_PERCENT = 10
_API_RETRY_SECONDS = 1.0


class DownloadFailed(Exception):
    """The model could not be downloaded or exported. `may_work_later`: the hub did not respond."""

    def __init__(self, message: str, *, may_work_later: bool) -> None:
        super().__init__(message)
        self.may_work_later = may_work_later


def name_of(folder: Path) -> str:
    """The name of the model in `folder`, as in images and `/health`."""
    manifest = json.loads((folder / _MANIFEST_NAME).read_text(encoding="utf-8"))
    return f"{manifest['name']}@{manifest['revision']}"


class ModelDownload:
    """Downloads the model to `folder`, in a separate process. It continues an earlier download."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: Child | None = None

    @property
    def is_done(self) -> bool:
        """Whether `folder` contains a complete model. An export creates it atomically."""
        return (self._folder / _MANIFEST_NAME).is_file()

    def run(self, on_progress: Callable[[NextModel], None]) -> None:
        """Return once the model is exported. Raises `DownloadFailed`."""
        child = self._child = Child("model", "local.model_download", ["--to", str(self._folder)], os.environ)
        logged = -_LOG_EVERY_PERCENT
        for line in child.stdout:
            report = json.loads(line)
            model, percent = report["model"], _percent(report)
            if report["done"] == report["total"]:
                logs.write("model", f"downloaded {model}; exporting it for ONNX Runtime …")
            elif percent >= logged + _LOG_EVERY_PERCENT:
                logged = percent
                megabytes = f"{report['done'] / 1e6:,.0f} of {report['total'] / 1e6:,.0f} MB"
                logs.write("model", f"downloading {model}: {megabytes} ({percent}%)")
            on_progress(NextModel(model, percent))
        code = child.wait()
        if code == _UNREACHABLE:
            raise DownloadFailed("the Hugging Face hub cannot be reached", may_work_later=True)
        if code != 0:
            ended = describe_exit(code)
            raise DownloadFailed(f"could not export BLIP, see above ({ended})", may_work_later=False)

    def stop(self) -> None:
        """Stop the process if it runs."""
        if self._child is not None:
            self._child.stop()


def _percent(report: Mapping[str, Any]) -> int:
    """The progress, 0 to 99: the export comes after the download."""
    return min(99, int(100 * report["done"] / max(1, report["total"])))


class ModelUpgrade:
    """Replaces the demo model while the stack runs: downloads the real one, reloads workers, updates captions."""

    def __init__(
        self,
        download: ModelDownload,
        processor: LocalFunction,
        records: Records,
        api: httpx.Client,
        *,
        demo_model: str,
    ) -> None:
        self._download = download
        self._processor = processor
        self._records = records
        self._api = api
        self._demo_model = demo_model

    def run(self, stopping: threading.Event) -> None:
        """Return once the real model is in use and all captions are updated, or `stopping` is set."""
        if not self._download.is_done:
            if not self._downloaded(stopping):
                return
            self._processor.reload()
            if not stopping.is_set():
                logs.write("model", "BLIP is in use for captions now")
        count = self._caption_again(stopping)
        if count:
            logs.write("model", f"updating the captions of {count} images from the demo model")

    def _downloaded(self, stopping: threading.Event) -> bool:
        wait_seconds = _FIRST_RETRY_SECONDS
        while not stopping.is_set():
            try:
                self._download.run(self._announce)
                return True
            except DownloadFailed as error:
                if stopping.is_set():
                    break
                logs.write("model", f"{error}: the demo model stays in use")
                if not error.may_work_later:
                    break
            stopping.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, _LONGEST_RETRY_SECONDS)
        return False

    def _announce(self, model: NextModel) -> None:
        try:
            self._records.announce_next_caption_model(model)
        except (BotoCoreError, ClientError) as error:  # the log shows the progress anyway
            logs.write("model", f"could not store the progress: {error}")

    def _caption_again(self, stopping: threading.Event) -> int:
        """Reprocess the captions of the demo model, and return their number.

        A pass that fails is repeated. It then finds only images that still have the old caption.
        """
        count = 0
        while not stopping.is_set():
            try:
                for image in _images(self._api):
                    if (
                        image["status"] != "success"
                        or image["data"]["metadata"]["caption_model"] != self._demo_model
                    ):
                        continue
                    address = f"/api/images/{image['data']['image_id']}/reprocess"
                    response = self._api.post(address, params={"stage": "caption"})
                    if response.status_code != httpx.codes.NOT_FOUND:  # deleted meanwhile
                        response.raise_for_status()
                        count += 1
                break
            except httpx.HTTPError as error:
                logs.write("model", f"could not update the captions, retrying: {error}")
                stopping.wait(_API_RETRY_SECONDS)
        return count


def _images(api: httpx.Client) -> Iterator[Any]:
    """All images, page by page."""
    parameters: dict[str, Any] = {"limit": 100}
    while True:
        page = api.get("/api/images", params=parameters).raise_for_status().json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        parameters["cursor"] = page["next_cursor"]
