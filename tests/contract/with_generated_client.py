"""Upload, wait and download with a generated client only: `python with_generated_client.py URL PHOTO FOLDER`.

Runs in the generator's environment, with the client on its path under the name `generated`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from generated import Client
from generated.api.files import get_original, get_thumbnail
from generated.api.images import delete_image, describe_image, get_image, list_images, upload_image
from generated.api.service import stats
from generated.models import BodyUploadImage, ErrorResponse, ImagePatch, ImageResponse
from generated.types import File

DEADLINE_SECONDS = 60


def main() -> None:
    url, photo, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    client = Client(base_url=url, follow_redirects=True)
    with photo.open("rb") as opened:
        file = File(payload=opened, file_name=photo.name, mime_type="image/jpeg")
        accepted = upload_image.sync(client=client, body=BodyUploadImage(file=file), idempotency_key="generated-1")
    image_id = accepted.image_id

    deadline = time.monotonic() + DEADLINE_SECONDS
    image = get_image.sync(image_id, client=client)
    while image.status in ("pending", "processing"):
        assert time.monotonic() < deadline, "not finished in time"
        time.sleep(0.1)
        image = get_image.sync(image_id, client=client)
    assert isinstance(image, ImageResponse) and image.status == "success", image
    print(image.data.metadata.caption)

    described = describe_image.sync(image_id, client=client, body=ImagePatch(title="By a generated client"))
    assert described.data.title == "By a generated client"
    assert [one.data.image_id for one in list_images.sync(client=client, limit=1).data] == [image_id]
    (folder / "small").write_bytes(get_thumbnail.sync(image_id, "small", client=client).payload.read())
    (folder / "original").write_bytes(get_original.sync_detailed(image_id, client=client).content)
    assert stats.sync(client=client).success >= 1

    assert delete_image.sync_detailed(image_id, client=client).status_code == 204
    deleted = get_image.sync(image_id, client=client)
    assert isinstance(deleted, ErrorResponse) and deleted.error.code == "not_found", deleted


if __name__ == "__main__":
    main()
