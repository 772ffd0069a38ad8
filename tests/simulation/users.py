"""Users of the pipeline: they upload, drop, overwrite, delete, reprocess and read, each in a thread."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from image_core.keys import derived_image_id, upload_key
from tests.simulation.api import HOST, Response, multipart
from tests.simulation.bodies import EMPTY, SIZES, File, some_file
from tests.simulation.invariants import PUBLIC_STATUSES, Watch
from tests.simulation.stack import UPLOADS, Stack

BASE = f"https://{HOST}/api"
NAMES = ["photo.jpg", "Ferien 2026/Bild (1).png", "a+b%20c.jpg", "ohne", "ünï/çödé.webp"]


class User:
    """Handles one image at a time. `wait` returns the seconds between two actions."""

    def __init__(
        self, name: str, stack: Stack, watch: Watch, rng: random.Random, wait: Callable[[], float]
    ) -> None:
        self.name = name
        self.stack = stack
        self.watch = watch
        self.rng = rng
        self.wait = wait

    def pause(self) -> None:
        """Let some time pass."""
        self.stack.world.sleep(self.wait())

    # In the bucket

    def put(self, key: str, file: File) -> None:
        """Put a file under the key."""
        self._known(key, file)
        self._as_user()
        self.stack.s3.put_object(Bucket=UPLOADS, Key=key, Body=file.body)

    def put_to(self, url: str, key: str, file: File) -> None:
        """Send a file to a presigned URL. S3 may refuse it."""
        self.watch.files[file.body] = file
        self._as_user()
        try:
            self.stack.s3.put_to(url, file.body)
        except ClientError as error:
            self.stack.network.note(self.name, f"PUT {key}", error.response["Error"]["Code"])

    def remove(self, key: str) -> None:
        """Delete the file under the key from the bucket."""
        self._as_user()
        self.watch.by_users.add(key)
        if self.stack.s3.buckets[UPLOADS].newest(key) is not None:
            self.stack.s3.delete_object(Bucket=UPLOADS, Key=key)

    def _as_user(self) -> None:
        self.stack.network.caller = "user"

    def _known(self, key: str, file: File) -> None:
        self.watch.files[file.body] = file
        for image_id in [i for i, k in self.watch.deleted.items() if k == key]:
            del self.watch.deleted[image_id]

    # Through the API

    def call(self, method: str, path: str, **rest: Any) -> Response | None:
        """Send a request. Return None if there is no response, or for a 503, which a client treats the same."""
        response = self.stack.request(self.name, method, path if path.startswith("http") else BASE + path, **rest)
        if response is not None:
            self.watch.expect(
                response.status != 500, f"the API never returns 500: {method} {path} {response.body!r}"
            )
        return None if response is None or response.status == 503 else response

    def upload(self, file: File, name: str) -> tuple[str, str] | None:
        """Post a file. Return its id and key if it was accepted."""
        self.watch.files[file.body] = file
        headers, form = multipart(file.body, name)
        response = self.call("POST", "/images", headers=headers, body=form)
        if response is None:
            return None
        self.watch.expect(response.status == 202, f"an upload is accepted: {response.status} {response.body!r}")
        image_id = response.json()["image_id"]
        key = upload_key(image_id, name)
        self.watch.accepted[image_id] = key
        return image_id, key

    def reserve(self, file: File, name: str) -> tuple[str, str, str] | None:
        """Request a presigned upload. Return id, key and URL."""
        wanted = {"filename": name, "content_type": "image/png", "size": len(file.body) or 1}
        response = self.call(
            "POST",
            "/uploads",
            headers={"content-type": "application/json"},
            body=json.dumps(wanted).encode(),
        )
        if response is None:
            return None
        self.watch.expect(response.status == 201, f"a reservation is made: {response.status} {response.body!r}")
        image_id = response.json()["image_id"]
        return image_id, upload_key(image_id, name), response.json()["upload"]["url"]

    def delete(self, image_id: str, key: str) -> None:
        """Delete through the API.

        Expect that the image does not come back, unless another user put it again meanwhile.
        """
        self.watch.requested_deletions.add(image_id)
        versions = self.stack.s3.buckets[UPLOADS].versions
        before = [version for version in versions.get(key, []) if version.body is not None]
        response = self.call("DELETE", f"/images/{image_id}")
        if response is None:
            return
        self.watch.expect(
            response.status in (204, 404), f"a deletion gets 204 or 404: {response.status} {response.body!r}"
        )
        after = [version for version in versions.get(key, []) if version.body is not None]
        if response.status == 204 and before == after:
            self.watch.deleted[image_id] = key

    def reprocess(self, image_id: str, stage: str = "all", *, force: bool = False) -> None:
        """Reprocess the image; with `force`, without copying a caption."""
        response = self.call("POST", f"/images/{image_id}/reprocess?stage={stage}&force={str(force).lower()}")
        if response is not None:
            self.watch.expect(response.status in (202, 404), f"a reprocess is accepted: {response.status}")

    # Reading

    def read(self, image_id: str) -> None:
        """Read the image and the thumbnails that it has."""
        response = self.call("GET", f"/images/{image_id}")
        if response is None or response.status == 404:
            return
        self.watch.expect(response.status == 200, f"an image is returned: {response.status} {response.body!r}")
        body = response.json()
        data = body["data"]
        if body["status"] == "success":
            self.watch.expect(
                data["thumbnails"] is not None and data["metadata"] is not None,
                f"success has thumbnails and metadata: {image_id}",
            )
        if data["thumbnails"] is not None:
            for size in SIZES:
                self._read_thumbnail(image_id, size, data["thumbnails"][size])

    def _read_thumbnail(self, image_id: str, size: str, url: str) -> None:
        before = self.watch.record(image_id)
        response = self.call("GET", url)
        if response is None:
            return
        if response.status == 200:
            known = {file.thumbnails.get(size) for file in self.watch.files.values()}
            self.watch.expect(response.body in known, f"a thumbnail is readable: {size} of {image_id}")
            return
        now = self.watch.record(image_id)
        gone = now is None or now["status"]["S"] == "deleting"
        unchanged = before is not None and now is not None and before["rev"] == now["rev"]
        promised = unchanged and now is not None and "thumbnails" in now
        self.watch.expect(
            (response.status == 404 and gone) or (response.status == 409 and not promised),
            f"a thumbnail is readable: {size} of {image_id} got {response.status} {response.body!r}",
        )

    def list_all(self) -> None:
        """Read the list page by page, with or without a status."""
        status = self.rng.choice(["", *PUBLIC_STATUSES])
        cursor, seen = "", []
        while True:
            query = f"?limit=2{cursor and f'&cursor={cursor}'}{status and f'&status={status}'}"
            response = self.call("GET", f"/images{query}")
            if response is None:
                return
            self.watch.expect(response.status == 200, f"a list is returned: {response.status} {response.body!r}")
            page = response.json()
            for item in page["data"]:
                seen.append(item["data"]["image_id"])
                self.watch.expect(
                    item["status"] in ([status] if status else PUBLIC_STATUSES),
                    f"a list contains only the requested status: {item['status']} in a list of {status}",
                )
            if page["next_cursor"] is None:
                break
            cursor = page["next_cursor"]
        self.watch.expect(status != "" or len(seen) == len(set(seen)), f"a list names each image once: {seen}")

    def read_stats(self) -> None:
        """Compare the statistics with the records at that moment."""
        response = self.call("GET", "/stats")
        if response is None:
            return
        body = response.json()
        expected, off = self.watch.at_last_read
        correct = all(abs(body[name] - expected[name]) <= off for name in ("success", "failed"))
        progress = expected["pending"] + expected["processing"]
        self.watch.expect(
            correct and abs(body["in_progress"] - progress) <= off,
            f"statistics differ at most by transactions in flight: {body}, expected {dict(expected)} ± {off}",
        )

    # Lives of an image

    def live(self) -> None:
        """Create an image in one of several ways, then do random things with it."""
        begin = self.rng.choice([self._begin_by_post, self._begin_by_reservation, self._begin_by_drop])
        begun = begin()
        if begun is None:
            return
        image_id, key = begun
        if self.rng.random() < 0.5:
            other = User(f"{self.name}'s friend", self.stack, self.watch, self.rng, self.wait)
            self.stack.world.start(other.name, lambda: other.act(image_id, key))
        self.act(image_id, key)

    def act(self, image_id: str, key: str) -> None:
        """Do random things with an image for a while."""
        for _ in range(self.rng.randrange(6)):
            self.pause()
            self._do_something(image_id, key)

    def _begin_by_post(self) -> tuple[str, str] | None:
        return self.upload(some_file(self.rng, sniffable=True), self.rng.choice(NAMES))

    def _begin_by_reservation(self) -> tuple[str, str] | None:
        file = some_file(self.rng)
        reserved = self.reserve(file, self.rng.choice(NAMES))
        if reserved is None:
            return None
        image_id, key, url = reserved
        if self.rng.random() < 0.8:
            seconds = self.rng.choice([0.0, 5.0, 59.0, 90.0]) * self.rng.random()
            self.stack.world.at(seconds, lambda: self.put_to(url, key, file))
        if self.rng.random() < 0.5:
            # Sent again by a client that missed the reply, or by somebody who obtained the URL.
            again = some_file(self.rng) if self.rng.random() < 0.5 else file
            self.stack.world.at(self.rng.uniform(0, 90), lambda: self.put_to(url, key, again))
        return image_id, key

    def _begin_by_drop(self) -> tuple[str, str] | None:
        key = f"{self.name}/{self.rng.choice(NAMES)}"
        others = sorted(self.watch.accepted)
        if others and self.rng.random() < 0.1:
            # Under the id of another image: it becomes a separate image.
            key = f"uploads/{self.rng.choice(others)}/of {self.name}.png"
        elif self.rng.random() < 0.05:
            self.put(f"{self.name}/", EMPTY)  # consoles create this for a folder
        self.put(key, some_file(self.rng))
        return derived_image_id(UPLOADS, key), key

    def _do_something(self, image_id: str, key: str) -> None:
        action = self.rng.random()
        if action < 0.2:
            self.put(key, some_file(self.rng))
        elif action < 0.35:
            self.delete(image_id, key)
        elif action < 0.45:
            self.remove(key)
        elif action < 0.65:
            stage = self.rng.choice(["all", "thumbnails", "caption"])
            self.reprocess(image_id, stage, force=self.rng.random() < 0.3)
        elif action < 0.9:
            self.read(image_id)
        elif action < 0.95:
            self.list_all()
        else:
            self.read_stats()
