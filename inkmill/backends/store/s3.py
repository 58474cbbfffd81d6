"""A bucket of an S3 service, through boto3."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from inkmill import names
from inkmill.backends.store.checksum import DIGEST, too_large, verify
from inkmill.backends.store.protocol import DELETE_BATCH, ObjectInfo, Stored
from inkmill.backends.store.s3_errors import (
    NotModified,
    S3Errors,
    is_not_implemented,
    refuses_delete_objects,
    was_repeated,
)
from inkmill.codes import Code
from inkmill.errors import Corrupt, ItemError, NotFound, PreconditionFailed, StoreDenied

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3.client import S3Client

    from inkmill.backends.store.direct import DirectRequests
    from inkmill.settings import Settings

log = logging.getLogger(__name__)

#: How many times an object is read before one that does not match its checksum counts as damaged.
_READS = 3


class S3Store:
    """A bucket of any S3 service that keeps If-Match and If-None-Match."""

    def __init__(self, client: S3Client, bucket: str, direct: DirectRequests | None = None) -> None:
        """``direct`` is a faster way to read and write; ``client`` does what it cannot."""
        self.client = client
        self._direct = direct
        self.bucket = bucket
        #: Set once the service has refused DeleteObjects: it may want a Content-MD5, which botocore
        #: no longer sends, or not know the request at all.
        self.deletes_singly = False

    def get(self, key: str) -> Stored:
        return self._read(key)

    def get_if_changed(self, key: str, etag: str) -> Stored | None:
        try:
            return self._read(key, IfNoneMatch=etag)
        except NotModified:
            return None

    def _read(self, key: str, **conditions: str) -> Stored:
        """Read and verify; what was damaged only on its way is right the next time."""
        for _ in range(_READS - 1):
            try:
                return self._read_once(key, **conditions)
            except Corrupt as error:
                log.warning("%s; reading it again", error)
        return self._read_once(key, **conditions)

    def _read_once(self, key: str, **conditions: str) -> Stored:
        if self._direct is not None and not conditions:
            found = self._direct.get(self.bucket, key, names.most_bytes(key))
            if found is not None:
                verify(key, found.data, found.metadata)
                return Stored(found.data, found.etag, found.metadata)
        with S3Errors(self.bucket, key):
            answer = self.client.get_object(Bucket=self.bucket, Key=key, **conditions)  # type: ignore[arg-type]
            if answer["ContentLength"] > names.most_bytes(key):
                answer["Body"].close()
                raise too_large(key, answer["ContentLength"])
            data = answer["Body"].read()
        verify(key, data, answer["Metadata"])
        return Stored(data, answer["ETag"], answer["Metadata"])

    def get_limited(self, key: str, most: int) -> bytes:
        """Read an object of the user's own. Raises NotFound, or ItemError above ``most`` bytes."""
        with S3Errors(self.bucket, key):
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            if answer["ContentLength"] > most:
                answer["Body"].close()
                raise ItemError(
                    Code.TOO_LARGE,
                    f"s3://{self.bucket}/{key}: {answer['ContentLength']} bytes, but at most "
                    f"{most} are allowed: split it, or raise INKMILL_MAX_FILE_BYTES",
                )
            return answer["Body"].read()

    def head(self, key: str) -> Mapping[str, str] | None:
        try:
            found = self._direct.head(self.bucket, key) if self._direct is not None else None
            if found is not None:
                return found.metadata
            with S3Errors(self.bucket, key):
                return self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        except NotFound:
            return None

    def put(
        self,
        key: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        hashed = hashlib.sha256(data)
        about = {**(metadata or {}), DIGEST: hashed.hexdigest()}
        # Without it SeaweedFS keeps an empty object where the connection ended before the body's
        # first byte, as it does when a program is killed just then.
        checksum = base64.b64encode(hashed.digest()).decode()
        sent = False
        if self._direct is not None:
            headers = _headers(checksum, about, if_match, if_none_match)
            etag, sent = self._direct.put(self.bucket, key, data, about[DIGEST], headers)
            if etag:
                return etag
        conditions: dict[str, Any] = {}
        if if_match is not None:
            conditions["IfMatch"] = if_match
        if if_none_match:
            conditions["IfNoneMatch"] = "*"
        try:
            with S3Errors(self.bucket, key):
                answer = self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    ChecksumSHA256=checksum,
                    Metadata=about,
                    **conditions,
                )
        except PreconditionFailed as error:
            repeated = sent or was_repeated(error.__cause__)
            if repeated and (mine := self._written_before(key, about[DIGEST])):
                return mine
            raise
        return answer["ETag"]

    def _written_before(self, key: str, digest: str) -> str | None:
        """The etag, if a conditional write was refused because it had been done already.

        A request whose answer got lost is repeated; the repetition then finds what the first one
        wrote.
        """
        with S3Errors(self.bucket, key):
            found = self.client.head_object(Bucket=self.bucket, Key=key)
        return found["ETag"] if found["Metadata"].get(DIGEST) == digest else None

    def delete(self, keys: Iterable[str]) -> None:
        pending = list(keys)
        if len(pending) == 1 and self._direct and self._direct.delete(self.bucket, pending[0]):
            return
        for start in range(0, len(pending), DELETE_BATCH):
            batch = pending[start : start + DELETE_BATCH]
            if not self.deletes_singly:
                try:
                    self._delete_together(batch)
                    continue
                except StoreDenied as refusal:
                    if not refuses_delete_objects(refusal.__cause__):
                        raise
                    log.info("objects are deleted one by one: %s", refusal)
                    self.deletes_singly = True
            for key in batch:
                with suppress(NotFound), S3Errors(self.bucket, key):
                    self.client.delete_object(Bucket=self.bucket, Key=key)

    def _delete_together(self, keys: Sequence[str]) -> None:
        with S3Errors(self.bucket, keys[0]):
            answer = self.client.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
        if errors := answer.get("Errors"):
            raise StoreDenied(
                f"bucket {self.bucket}: {errors[0].get('Key')} could not be deleted "
                f"({errors[0].get('Code')}): allow s3:DeleteObject"
            )

    def delete_if_match(self, key: str, etag: str) -> None:
        # SeaweedFS and AWS keep If-Match on DELETE. Other services pass over it without a word, or
        # refuse it: comparing first leaves those a window of one request instead of none at all.
        if self._etag(key) != etag:
            raise PreconditionFailed(f"{self.bucket}/{key} was changed by another process")
        try:
            with S3Errors(self.bucket, key):
                self.client.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
        except StoreDenied as refusal:
            if not is_not_implemented(refusal.__cause__):
                raise
            self.delete([key])
        except PreconditionFailed as refusal:
            # A repetition finds nothing left where the answer to the first request got lost.
            if not was_repeated(refusal.__cause__) or self._etag(key) is not None:
                raise

    def _etag(self, key: str) -> str | None:
        try:
            with S3Errors(self.bucket, key):
                return self.client.head_object(Bucket=self.bucket, Key=key)["ETag"]
        except NotFound:
            return None

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after
        )
        with S3Errors(self.bucket, prefix):
            for page in pages:
                for each in page.get("Contents", ()):
                    modified = each["LastModified"].timestamp()
                    yield ObjectInfo(each["Key"], each["Size"], modified, each.get("ETag", ""))

    def folders(self, prefix: str) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter="/"
        )
        with S3Errors(self.bucket, prefix):
            for page in pages:
                for each in page.get("CommonPrefixes", ()):
                    yield each["Prefix"]

    def create_bucket(self) -> None:
        """Create the bucket if it does not exist."""
        region = self.client.meta.region_name
        # AWS wants the region said, except for the one that it takes when nothing is said.
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        options: Any = {"CreateBucketConfiguration": place} if place else {}
        with S3Errors(self.bucket, ""):
            try:
                self.client.create_bucket(Bucket=self.bucket, **options)
            except self.client.exceptions.BucketAlreadyOwnedByYou:
                return
            except self.client.exceptions.BucketAlreadyExists:
                return


def _headers(
    checksum: str, metadata: Mapping[str, str], if_match: str | None, if_none_match: bool
) -> dict[str, str]:
    """The headers of a PUT, as boto3 makes them of its arguments."""
    headers = {"x-amz-checksum-sha256": checksum}
    headers |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    if if_match is not None:
        headers["If-Match"] = if_match
    if if_none_match:
        headers["If-None-Match"] = "*"
    return headers


def open_store(settings: Settings) -> S3Store:
    """The store that the settings name; connects at the first request."""
    from inkmill.backends.store.direct import direct_requests

    session = _session(settings)
    direct = direct_requests(settings, session.get_credentials())
    return S3Store(_client(settings, session), settings.s3_bucket, direct)


def s3_client(settings: Settings) -> S3Client:
    """A boto3 client; credentials come by boto3's chain unless the settings name them."""
    return _client(settings, _session(settings))


def _session(settings: Settings) -> Session:
    import boto3

    secret = settings.s3_secret_key
    return boto3.session.Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        region_name=settings.s3_region,
    )


def _client(settings: Settings, session: Session) -> S3Client:
    from botocore.config import Config

    config = Config(
        connect_timeout=settings.s3_timeout,
        read_timeout=settings.s3_timeout,
        # Workers repeat requests without end; this covers short bursts of failures.
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=settings.s3_connections,
        s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
        # Our own SHA-256 covers the whole way, and `put` hands it over; a second checksum of the
        # body costs time, and not every S3 service knows the newer trailing ones.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        verify=str(settings.ca_bundle) if settings.ca_bundle else None,
        config=config,
    )
