"""The real caption model: downloaded and exported while the demo model is at work, and then put in its place."""

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
"""The exit code of the download if the hub does not answer."""
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 60.0, 3600.0
_LOG_EVERY_PERCENT = 10
_API_RETRY_SECONDS = 1.0


class DownloadFailed(Exception):
    """The model could not be downloaded or exported. `may_work_later`: the hub did not answer."""

    def __init__(self, message: str, *, may_work_later: bool) -> None:
        super().__init__(message)
        self.may_work_later = may_work_later


def name_of(folder: Path) -> str:
    """The name of the model in `folder`, as images and `/health` have it."""
    manifest = json.loads((folder / _MANIFEST_NAME).read_text(encoding="utf-8"))
    return f"{manifest['name']}@{manifest['revision']}"


class ModelDownload:
    """Downloads the model to `folder`, in a process of its own. What was downloaded before is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: Child | None = None

    @property
    def is_done(self) -> bool:
        """Whether `folder` holds a whole model: an export puts everything there at once."""
        return (self._folder / _MANIFEST_NAME).is_file()

    def run(self, on_progress: Callable[[NextModel], None]) -> None:
        """Return once the model is exported. Raises `DownloadFailed`."""
        child = self._child = Child("model", "local.model_download", ["--to", str(self._folder)], os.environ)
        logged = -_LOG_EVERY_PERCENT
        for line in child.stdout:
            report = json.loads(line)
            model, percent = report["model"], _percent(report)
            if report["done"] == report["total"]:
                logs.write("model", f"{model} is downloaded; exporting it for ONNX Runtime …")
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
            raise DownloadFailed(f"BLIP could not be exported, see above ({ended})", may_work_later=False)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._child.stop()


def _percent(report: Mapping[str, Any]) -> int:
    """Between 0 and 99: an export is still to come."""
    return min(99, int(100 * report["done"] / max(1, report["total"])))


class ModelUpgrade:
    """Replaces the demo model while the stack runs: downloads the real one, reloads the workers, captions again."""

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
        """Return once the real model is in use and captions everything, or `stopping` is set."""
        if not self._download.is_done:
            if not self._downloaded(stopping):
                return
            self._processor.reload()
            if not stopping.is_set():
                logs.write("model", "captions come from BLIP now")
        count = self._caption_again(stopping)
        if count:
            logs.write("model", f"{count} images that the demo model has captioned are captioned again")

    def _downloaded(self, stopping: threading.Event) -> bool:
        wait_seconds = _FIRST_RETRY_SECONDS
        while not stopping.is_set():
            try:
                self._download.run(self._announce)
                return True
            except DownloadFailed as error:
                if stopping.is_set():
                    break
                logs.write("model", f"{error}: captions come from the demo model")
                if not error.may_work_later:
                    break
            stopping.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, _LONGEST_RETRY_SECONDS)
        return False

    def _announce(self, model: NextModel) -> None:
        try:
            self._records.announce_next_caption_model(model)
        except (BotoCoreError, ClientError) as error:  # shown in the log anyway
            logs.write("model", f"the progress could not be recorded: {error}")

    def _caption_again(self, stopping: threading.Event) -> int:
        """Reprocess the captions of the demo model; return how many there were.

        A pass that an error ends is repeated: it finds only those images that still have the old caption.
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
                logs.write("model", f"images could not be captioned again, trying again: {error}")
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
