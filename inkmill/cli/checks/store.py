"""Does this S3 service do what Inkmill relies on? Tried below doctor/, and removed again."""

from __future__ import annotations

import email.utils
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from inkmill.backends.store import S3Store
from inkmill.cli.checks import CheckResult
from inkmill.errors import NotFound, PreconditionFailed

#: Objects that are listed, and the keys of one answer: less, so that there is more than one.
_OBJECTS, _PAGE = 25, 10
#: Objects that are deleted together.
_MANY = 3
#: Writers that want to be the first at the same time.
_WRITERS = 8
#: S3 refuses requests from 15 minutes on (seconds).
_CLOCK = 60.0
_NO_ETAG = '"0123456789abcdef0123456789abcdef"'
_ANOTHER = (
    "results and models depend on it: use a service that does it, such as AWS, SeaweedFS or MinIO"
)


def check_store(store: S3Store, endpoint: str | None) -> Iterator[CheckResult]:
    """Try the service, one finding after another. Removes what it wrote, whatever happens.

    Raises InkmillError where the service does not answer, or refuses plain requests.
    """
    root = f"doctor/{secrets.token_hex(8)}/"
    try:
        for check in (_conditions, _race, _listing, _deletion, _multipart, _clock, _versions):
            yield from check(store, root)
    finally:
        store.delete(_keys(root))  # by name: a service that lists too late would hide some
    parts = urlsplit(endpoint or "https://aws")
    yield CheckResult(
        "s3",
        True,
        f"{parts.scheme} to {parts.hostname if endpoint else 'AWS'}",
        "" if parts.scheme == "https" or _is_here(parts.hostname) else _PLAIN,
    )


_PLAIN = "scans and keys travel unencrypted: use https:// and INKMILL_CA_BUNDLE"


def _is_here(host: str | None) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


def _keys(root: str) -> list[str]:
    """Everything that the checks may write."""
    single = ("conditions", "absent", "race", "parts")
    listed = (f"list/{number:03d}" for number in range(_OBJECTS))
    many = (f"many/{number}" for number in range(_MANY))
    return [f"{root}{name}" for name in (*single, *listed, *many)]


def _refused(request: Callable[[], object]) -> bool:
    try:
        request()
    except (PreconditionFailed, NotFound):
        return True
    return False


def _conditions(store: S3Store, root: str) -> Iterator[CheckResult]:
    """Writes that depend on what is there."""
    key, absent = f"{root}conditions", f"{root}absent"
    etag = store.put(key, b"1", if_none_match=True)
    yield _rule(
        "a second write with If-None-Match: *",
        _refused(lambda: store.put(key, b"2", if_none_match=True)),
    )
    yield _rule(
        "a write with If-Match of another version",
        _refused(lambda: store.put(key, b"2", if_match=_NO_ETAG)),
    )
    refused = _refused(lambda: store.put(absent, b"2", if_match=_NO_ETAG))
    yield _rule("a write with If-Match where there is nothing", refused and not store.head(absent))
    current = store.get(key).etag
    newer = store.put(key, b"3", if_match=current)
    fine = current == etag and store.get(key).data == b"3"
    yield CheckResult(
        "s3",
        fine,
        "a write with the right If-Match is done, and read at once",
        "" if fine else _ANOTHER,
    )
    same = store.get_if_changed(key, newer) is None
    yield CheckResult(
        "s3",
        True,
        f"a read with If-None-Match: {'answered by 304' if same else 'sent again'}",
        "" if same else "each look for a newer model reads its pointer again: no harm",
    )
    kept = _refused(lambda: _delete_if(store, key, _NO_ETAG))
    yield CheckResult(
        "s3",
        True,
        f"a deletion with If-Match of another version: {'refused' if kept else 'not checked'}",
        "" if kept else "Inkmill compares first, which leaves a gap of one request",
    )


def _delete_if(store: S3Store, key: str, etag: str) -> None:
    """Deletes at the service's word alone, where `S3Store.delete_if_match` looks first."""
    from botocore.exceptions import ClientError

    try:
        store.client.delete_object(Bucket=store.bucket, Key=key, IfMatch=etag)
    except ClientError as error:
        raise PreconditionFailed(str(error)) from error


def _rule(what: str, refused: bool) -> CheckResult:
    return CheckResult(
        "s3", refused, f"{what} is {'refused' if refused else 'DONE'}", "" if refused else _ANOTHER
    )


def _race(store: S3Store, root: str) -> Iterator[CheckResult]:
    """Many who write the same object at the same time: one must win."""

    def write(number: int) -> bool:
        return not _refused(
            lambda: store.put(f"{root}race", str(number).encode(), if_none_match=True)
        )

    with ThreadPoolExecutor(_WRITERS) as pool:
        won = [number for number, did in enumerate(pool.map(write, range(_WRITERS))) if did]
    fine = len(won) == 1 and store.get(f"{root}race").data == str(won[0]).encode()
    seen = f"{_WRITERS} writers at once, {len(won)} of them the first"
    yield CheckResult("s3", fine, seen, "" if fine else _ANOTHER)


def _listing(store: S3Store, root: str) -> Iterator[CheckResult]:
    """What was written or deleted is in the next listing, or not, in the order of keys."""
    keys = [f"{root}list/{number:03d}" for number in range(_OBJECTS)]
    for key in keys:
        store.put(key, b"")
    found = [entry.key for entry in store.list(f"{root}list/")]
    later = [entry.key for entry in store.list(f"{root}list/", after=keys[4])]
    pages = store.client.get_paginator("list_objects_v2").paginate(
        Bucket=store.bucket,
        Prefix=f"{root}list/",
        PaginationConfig={"PageSize": _PAGE},
    )
    paged = [each["Key"] for page in pages for each in page.get("Contents", ())]
    store.client.delete_object(Bucket=store.bucket, Key=keys[0])
    after = [entry.key for entry in store.list(f"{root}list/")]
    fine = found == paged == keys and later == keys[5:] and after == keys[1:]
    yield CheckResult(
        "s3",
        fine,
        "listings are complete, in order, and up to date"
        if fine
        else "a listing right after a write lacks objects, or has them out of order",
        "" if fine else "finished chunks would be missed or read again: use a consistent service",
    )


def _deletion(store: S3Store, root: str) -> Iterator[CheckResult]:
    """Deletion of many objects with one request."""
    keys = [f"{root}many/{number}" for number in range(_MANY)]
    for key in keys:
        store.put(key, b"")
    store.delete([*keys, f"{root}many/never"])
    left = [entry.key for entry in store.list(f"{root}many/")]
    how = (
        "one by one, since the service refuses DeleteObjects" if store.deletes_singly else "at once"
    )
    yield CheckResult(
        "s3",
        not left,
        f"many objects are deleted {how}" if not left else "deleted objects are still there",
        "" if not left else "`inkmill delete` leaves scans behind: use another service",
    )


def _multipart(store: S3Store, root: str) -> Iterator[CheckResult]:
    """Uploads in parts: Inkmill needs none, tools that bring scans into a bucket do."""
    from botocore.exceptions import ClientError

    key: Any = {"Bucket": store.bucket, "Key": f"{root}parts"}
    upload: Any = {}
    try:
        upload = {**key, "UploadId": store.client.create_multipart_upload(**key)["UploadId"]}
        part = store.client.upload_part(**upload, PartNumber=1, Body=b"part")
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        store.client.complete_multipart_upload(**upload, MultipartUpload=parts)
        works = store.client.get_object(**key)["Body"].read() == b"part"
    except ClientError as error:
        if upload:
            with suppress(ClientError):
                store.client.abort_multipart_upload(**upload)
        yield CheckResult("s3", True, f"uploads in parts do not work ({error})", "not needed here")
        return
    yield CheckResult("s3", True, f"uploads in parts {'work' if works else 'are damaged'}")


def _clock(store: S3Store, root: str) -> Iterator[CheckResult]:
    """The service's clock, against which signatures are checked."""
    answer = store.client.list_objects_v2(Bucket=store.bucket, Prefix=root, MaxKeys=1)
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if date is None:
        return
    apart = abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    fine = apart < _CLOCK
    yield CheckResult(
        "clock",
        fine,
        f"differs by {apart:.0f} s from that of the object store",
        "" if fine else "synchronise the clocks: from 15 minutes on, S3 refuses requests",
    )


def _versions(store: S3Store, _: str) -> Iterator[CheckResult]:
    """Whether deleted scans stay in the bucket as older versions."""
    from botocore.exceptions import ClientError

    with suppress(ClientError):  # the right to ask is not needed for anything else
        status: str = store.client.get_bucket_versioning(Bucket=store.bucket).get("Status", "off")
        kept = status != "off"
        yield CheckResult(
            "s3",
            True,
            f"versioning: {status}",
            "deleted scans stay as older versions: let a lifecycle rule end them" if kept else "",
        )
