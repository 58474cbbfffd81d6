"""Images that a chunk only names: files of several pages, or objects in buckets of the user's."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from inkmill import names
from inkmill.backends.store import S3Store, Stored
from inkmill.backends.store.checksum import DIGEST
from inkmill.codes import Code
from inkmill.errors import Corrupt, ItemError, NotFound, StoreDenied, Unreachable
from inkmill.records.chunks import Item
from inkmill.records.image_ref import JobFile, UserObject
from inkmill.settings import Settings
from inkmill.worker.patience import PatientStore

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

#: Bytes of files that are cached: the chunks of a large document follow each other.
_KEPT = 256 * 2**20


class Images:
    """Reads images by their references."""

    def __init__(
        self, settings: Settings, store: PatientStore, client: S3Client | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._client = client
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def load(self, job: str, item: Item) -> bytes:
        """The bytes of an item's image.

        Waits while a store is away. Raises ItemError where the image is missing or too large, and
        ShuttingDown.
        """
        with self._lock:
            if item.sha256 in self._kept:
                self._kept.move_to_end(item.sha256)
                return self._kept[item.sha256]
        match item.ref:
            case None:
                return item.data
            case JobFile():
                stored = self._job_file(job, item, item.ref)
                data = stored.data
                # What is kept by its digest serves other jobs, too.
                is_same = stored.metadata.get(DIGEST) == item.sha256
            case UserObject():
                data = self._user_object(item.ref)
                # A user may replace an object and submit it again.
                is_same = hashlib.sha256(data).hexdigest() == item.sha256
        if item.sha256 and is_same:
            self._keep(item.sha256, data)
        return data

    def _keep(self, digest: str, data: bytes) -> None:
        with self._lock:
            self._kept[digest] = data
            while sum(map(len, self._kept.values())) > _KEPT and len(self._kept) > 1:
                self._kept.popitem(last=False)

    def _job_file(self, job: str, item: Item, ref: JobFile) -> Stored:
        try:
            return self._store.get(names.image(job, ref.digest))
        except NotFound:
            raise ItemError(
                Code.MISSING, f"{item.source}: its copy in the job is gone: submit it again"
            ) from None
        except Corrupt as error:
            raise ItemError(Code.TRUNCATED, f"{item.source}: {error}") from None

    def _user_object(self, ref: UserObject) -> bytes:
        if ref.bucket not in self._settings.input_buckets:
            raise ItemError(
                Code.MISSING,
                f"{ref}: this worker may not read bucket {ref.bucket}: add it to "
                "INKMILL_INPUT_BUCKETS",
            )
        if self._client is None:
            raise ItemError(Code.MISSING, f"{ref}: this store has no other buckets")
        theirs = S3Store(self._client, ref.bucket)
        most = self._settings.max_file_bytes
        try:
            # A refusal is the item's own fault, so only a silent store is waited for.
            return self._store.patience(
                lambda: theirs.get_limited(ref.key, most), away=(Unreachable,)
            )
        except NotFound:
            raise ItemError(
                Code.MISSING, f"{ref} is gone: put it back and submit it again"
            ) from None
        except StoreDenied as error:
            raise ItemError(Code.MISSING, f"{ref}: {error}") from None
