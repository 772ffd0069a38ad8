"""The two buckets: originals, and the thumbnails made from them."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from image_core.errors import Replaced
from image_core.keys import safe_name
from image_core.model import StoredObject
from image_core.stores.unreadable import unreadable_reason

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

_ABSENT_CODES = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
_REFUSED_CODES = {"400", "403"}
"""Error codes of a HEAD. Its response has no body, so botocore uses the status as the code."""
_CHANGED_CODES = {"412", "PreconditionFailed"}
_CONFLICT_CODE = "ConditionalRequestConflict"
_TRIES_AFTER_CONFLICT = 3
_MAX_KEYS_A_DELETE = 1000


@dataclass(frozen=True)
class Listed:
    """An object in a listing. `modified_ms` is in ms since 1970, accurate to the second."""

    key: str
    size_bytes: int
    modified_ms: int


class Storage:
    """Objects of one stack. `client` calls S3; `public_client` signs URLs for callers.

    `account_id` is the stack's account. It identifies KMS keys of other accounts.
    """

    def __init__(
        self,
        client: S3Client,
        *,
        uploads_bucket: str,
        thumbnails_bucket: str,
        public_client: S3Client,
        account_id: str | None = None,
    ) -> None:
        self._client = client
        self._public_client = public_client
        self.uploads_bucket = uploads_bucket
        self._thumbnails_bucket = thumbnails_bucket
        self._account_id = account_id

    # Originals

    def head(self, key: str) -> StoredObject | None:
        """HEAD the original under `key`. None if there is none, or only a delete marker."""
        try:
            response = self._client.head_object(Bucket=self.uploads_bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return None
            if _code(error) in _REFUSED_CODES:
                return self._refused(key, error)
            raise
        version_id = response.get("VersionId", "")
        if version_id == "null":
            version_id = ""
        version = version_id or _version_by_time(response)
        return StoredObject(
            key=key,
            version=version,
            version_id=version_id or None,
            etag=response["ETag"].strip('"'),
            size_bytes=response["ContentLength"],
            content_type=response.get("ContentType"),
            modified_ms=int(response["LastModified"].timestamp() * 1000),
            kms_key=response.get("SSEKMSKeyId"),
        )

    def _refused(self, key: str, refusal: ClientError) -> StoredObject | None:
        """Return a listing's data of an object with a refused HEAD, if it can never be read. Raises otherwise."""
        try:
            self._client.get_object(Bucket=self.uploads_bucket, Key=key, Range="bytes=0-0")["Body"].close()
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return None
            if unreadable_reason(error, kms_key=None, account_id=self._account_id) is None:
                raise error from refusal
        else:
            raise refusal  # it can be read now
        page = self._client.list_objects_v2(Bucket=self.uploads_bucket, Prefix=key, MaxKeys=1)
        for entry in page.get("Contents", []):
            if entry["Key"] == key:
                return StoredObject(
                    key=key,
                    version=_version_by_time(entry),
                    version_id=None,
                    etag=entry["ETag"].strip('"'),
                    size_bytes=entry["Size"],
                    modified_ms=int(entry["LastModified"].timestamp() * 1000),
                    is_readable=False,
                )
        return None

    def put_original(self, key: str, body: IO[bytes], *, content_type: str) -> None:
        """Write an upload, unless the object already exists: a response was lost, or the request was repeated.

        Only this request uses the key, so an existing object has the same bytes.
        """
        for left in reversed(range(_TRIES_AFTER_CONFLICT)):
            body.seek(0)
            try:
                self._client.put_object(
                    Bucket=self.uploads_bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                )
                return
            except self._client.exceptions.ClientError as error:
                if _code(error) in _CHANGED_CODES:
                    return
                # The request was repeated while it ran. AWS advises to retry: by then, one of them has won.
                if _code(error) != _CONFLICT_CODE or not left:
                    raise

    def list_originals(self, *, start_after: str = "") -> Iterator[list[Listed]]:
        """All originals whose keys come after `start_after`, in the order of their keys, page by page."""
        yield from self._pages(self.uploads_bucket, StartAfter=start_after)

    def download(self, stored: StoredObject) -> bytes:
        """Download that version, as long as it is the newest. Raises `Replaced` if it was replaced or removed.

        Raises `ObjectArchived` or `UnreadableObject` if S3 will never return the bytes. The version id is not used,
        because S3 would still return an old version. If the version was removed before it was claimed, the event
        of the removal may have been missed.
        """
        try:
            response = self._client.get_object(
                Bucket=self.uploads_bucket, Key=stored.key, IfMatch=f'"{stored.etag}"'
            )
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT_CODES | _CHANGED_CODES:
                raise Replaced from error
            reason = unreadable_reason(error, kms_key=stored.kms_key, account_id=self._account_id)
            if reason is not None:
                raise reason from error
            raise
        if stored.version_id is not None and response.get("VersionId") != stored.version_id:
            raise Replaced
        return response["Body"].read()

    def delete_original(self, stored: StoredObject) -> None:
        """Remove that version if it is still the newest. An object that replaced it stays. S3 keeps old versions.

        A conflict (409: another request is writing the key) is raised, because the result is not known yet.
        """
        try:
            self._client.delete_object(Bucket=self.uploads_bucket, Key=stored.key, IfMatch=f'"{stored.etag}"')
        except self._client.exceptions.ClientError as error:
            if _code(error) not in _ABSENT_CODES | _CHANGED_CODES:
                raise

    def presign_download(self, key: str, *, name: str, content_type: str | None, seconds: int) -> str:
        """A URL that downloads the original as an attachment called `name`, which is sanitized and shortened."""
        parameters = {
            "Bucket": self.uploads_bucket,
            "Key": key,
            "ResponseContentDisposition": attachment_disposition(safe_name(name)),
            # Never the type that a dropped object claims: that could be a page with scripts.
            "ResponseContentType": content_type or "application/octet-stream",
            # Nor its encoding: a picture of which S3 says that it is compressed cannot be opened. The bytes were
            # decoded as they are.
            "ResponseContentEncoding": "identity",
        }
        return self._public_client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    def presign_upload(
        self, key: str, *, content_type: str, size_bytes: int, seconds: int, sha256: str | None = None
    ) -> tuple[str, dict[str, str]]:
        """A PUT URL and the headers that must be sent with it. Type, size and `If-None-Match` are signed.

        `sha256` (64 hexadecimal digits) is signed too, and S3 compares it with the uploaded bytes.
        """
        parameters: dict[str, Any] = {
            "Bucket": self.uploads_bucket,
            "Key": key,
            "ContentType": content_type,
            "ContentLength": size_bytes,
            "IfNoneMatch": "*",
        }
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        if sha256 is not None:
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            parameters["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = checksum
        url = self._public_client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
        return url, headers

    def public_origin(self) -> str:
        """Scheme, host and port of the URLs that callers get for originals, in a content security policy's syntax.

        `*` replaces the bucket, because its name contains the account id and the policy is public.
        """
        parameters = {"Bucket": self.uploads_bucket, "Key": "any"}
        url = urlsplit(self._public_client.generate_presigned_url("put_object", Params=parameters))
        host = url.netloc
        if host.startswith(f"{self.uploads_bucket}."):
            host = f"*{host.removeprefix(self.uploads_bucket)}"
        return f"{url.scheme}://{host}"

    # Thumbnails

    def put_thumbnail(self, key: str, body: bytes, *, content_type: str) -> None:
        """Write one thumbnail under its attempt's own key."""
        self._client.put_object(Bucket=self._thumbnails_bucket, Key=key, Body=body, ContentType=content_type)

    def get_thumbnail(self, key: str) -> bytes | None:
        """The bytes of a thumbnail; None if it is gone."""
        try:
            return self._client.get_object(Bucket=self._thumbnails_bucket, Key=key)["Body"].read()
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return None
            raise

    def list_thumbnails(self, prefix: str) -> list[str]:
        """The keys of all thumbnails under `prefix`."""
        return [listed.key for page in self._pages(self._thumbnails_bucket, Prefix=prefix) for listed in page]

    def list_all_thumbnails(self) -> Iterator[list[Listed]]:
        """All thumbnails in the order of their keys, page by page. Thumbnails of an image are consecutive."""
        yield from self._pages(self._thumbnails_bucket)

    def has_thumbnail(self, key: str) -> bool:
        """Whether this thumbnail can be read."""
        try:
            self._client.head_object(Bucket=self._thumbnails_bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return False
            raise
        return True

    def _pages(self, bucket: str, **arguments: str) -> Iterator[list[Listed]]:
        given: Any = {"Bucket": bucket} | {name: value for name, value in arguments.items() if value}
        for page in self._client.get_paginator("list_objects_v2").paginate(**given):
            yield [
                Listed(entry["Key"], entry["Size"], int(entry["LastModified"].timestamp() * 1000))
                for entry in page.get("Contents", [])
            ]

    def delete_thumbnails(self, keys: Iterable[str]) -> None:
        """Remove these thumbnails. Missing ones are ignored. Raises `OSError` if S3 kept any."""
        left = list(keys)
        for start in range(0, len(left), _MAX_KEYS_A_DELETE):
            response = self._client.delete_objects(
                Bucket=self._thumbnails_bucket,
                Delete={
                    "Objects": [{"Key": k} for k in left[start : start + _MAX_KEYS_A_DELETE]],
                    "Quiet": True,
                },
            )
            if response.get("Errors"):
                raise OSError(f"S3 kept {len(response['Errors'])} thumbnails: {response['Errors'][0].get('Code')}")


def attachment_disposition(name: str) -> str:
    """A `Content-Disposition` that saves under `name`, in any script (RFC 6266, RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join(c if c.isprintable() and c not in '"\\%' else "_" for c in plain)
    # Some clients use only this name (curl -OJ). Of a name in another script, only the extension may be left.
    stem, dot, extension = plain.rpartition(".") if "." in plain else (plain, "", "")
    if not any(c.isalnum() for c in stem):
        plain = f"image{dot}{extension.strip()}".rstrip(".")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _version_by_time(described: Any) -> str:
    """A version for buckets without VersionIds. The same bytes uploaded again are another version."""
    return f"{described['ETag']}@{described['LastModified'].isoformat()}"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
