"""Requests to S3 without boto3's client: signed and sent by botocore's own parts.

boto3 takes a millisecond of processor time for a request, as much as ten digit images: it resolves
an endpoint, calls some hundred event handlers, and parses a few headers by a model. Reading or
writing an object needs a signature and a connection, which takes 0.4 ms. Only plain successes are
handled here. Whatever else happens, the caller asks again through boto3, which knows about errors,
retries and redirects. Reading and deleting twice does no harm; of a write, the caller learns
whether the object may be there although no answer came.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from inkmill.errors import NotFound, PreconditionFailed

if TYPE_CHECKING:
    from botocore.credentials import Credentials

    from inkmill.settings import Settings

log = logging.getLogger(__name__)

_METADATA = "x-amz-meta-"
#: After a failure, boto3 alone is asked for so long (seconds): a server that is away is waited for
#: once, not twice, and one that wants requests made otherwise is not asked twice each time.
_PAUSE = 10.0
_REFUSED = (301, 302, 307, 400, 401, 403, 501)


class Read(NamedTuple):
    """An object, or of a HEAD what is known of it; metadata by their names in lower case."""

    data: bytes
    etag: str
    metadata: Mapping[str, str]


class Written(NamedTuple):
    """What came of a write: the object's etag, or "" for one that did not succeed plainly.

    ``sent`` says that the object may be there all the same.
    """

    etag: str
    sent: bool


class _Signer(S3SigV4Auth):
    """Signs a body by the digest that its owner knows."""

    def payload(self, request: AWSRequest) -> str:
        known: str | None = request.context.get("sha256")
        return known or super().payload(request)


class DirectRequests:
    """Requests below an endpoint, with buckets in the path. May be used by many threads."""

    def __init__(self, settings: Settings, endpoint: str, credentials: Credentials) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._signer = _Signer(credentials, "s3", settings.s3_region)
        self._context = {"client_config": Config(), "signing": {}}
        # As botocore's own client calls it; its stubs know less.
        options: dict[str, Any] = {
            "verify": str(settings.ca_bundle) if settings.ca_bundle else True,
            "timeout": (settings.s3_timeout, settings.s3_timeout),
            # Else the body of a small object waits 40 ms until its head is acknowledged.
            "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        }
        self._session = URLLib3Session(
            proxies=get_environ_proxies(endpoint),
            max_pool_connections=settings.s3_connections,
            **options,
        )
        self._again = 0.0

    def get(self, bucket: str, key: str, most: int) -> Read | None:
        """An object of at most ``most`` bytes; None: ask boto3."""
        answer = self._send("GET", bucket, key)
        if answer is None or answer.status_code != 200:
            _let_go(answer)
            return None
        expected = answer.headers.get("content-length", "")
        if not expected.isdecimal() or int(expected) > most:
            answer.raw.close()
            return None
        try:
            data = answer.raw.read()
        except (HTTPError, OSError) as error:
            self._failed(error)
            return None
        return _found(answer, data) if len(data) == int(expected) else None

    def head(self, bucket: str, key: str) -> Read | None:
        """An object's metadata; None: ask boto3. Raises NotFound."""
        answer = self._send("HEAD", bucket, key)
        _let_go(answer)
        if answer is not None and answer.status_code == 404:
            raise NotFound(f"there is no object {bucket}/{key}")
        return _found(answer, b"") if answer is not None and answer.status_code == 200 else None

    def put(
        self, bucket: str, key: str, data: bytes, sha256: str, headers: Mapping[str, str]
    ) -> Written:
        """Write an object whose SHA-256, in hexadecimal, is known. Raises PreconditionFailed."""
        if self._pauses:
            return Written("", sent=False)
        answer = self._send("PUT", bucket, key, data, sha256, headers)
        _let_go(answer)
        if answer is not None and answer.status_code == 412:
            raise PreconditionFailed(f"{bucket}/{key} was changed by another process")
        if answer is None or answer.status_code >= 500:
            return Written("", sent=True)
        if answer.status_code != 200:
            return Written("", sent=False)
        return Written(answer.headers.get("etag", ""), sent=True)

    def delete(self, bucket: str, key: str) -> bool:
        """Delete an object; False: ask boto3."""
        answer = self._send("DELETE", bucket, key)
        _let_go(answer)
        return answer is not None and answer.status_code == 204

    @property
    def _pauses(self) -> bool:
        return time.monotonic() < self._again

    def _send(
        self,
        method: str,
        bucket: str,
        key: str,
        data: bytes = b"",
        sha256: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> AWSResponse | None:
        if self._pauses:
            return None
        url = f"{self._endpoint}/{bucket}/{quote(key, safe='/~')}"
        request = AWSRequest(method=method, url=url, headers=headers, data=data, stream_output=True)
        request.context.update(self._context, sha256=sha256)
        try:
            self._signer.add_auth(request)
            answer: AWSResponse = self._session.send(request.prepare())
        except (BotoCoreError, HTTPError, OSError) as error:
            self._failed(error)
            return None
        if answer.status_code in _REFUSED:
            self._again = time.monotonic() + _PAUSE
        return answer

    def _failed(self, error: Exception) -> None:
        log.debug("boto3 takes over for a while: %s", error)
        self._again = time.monotonic() + _PAUSE


def _let_go(answer: AWSResponse | None) -> None:
    """The connection is free for the next request."""
    if answer is not None:
        with suppress(HTTPError, OSError):
            answer.raw.drain_conn()


def _found(answer: AWSResponse, data: bytes) -> Read:
    headers = {name.lower(): value for name, value in answer.raw.headers.items()}
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }
    return Read(data, headers.get("etag", ""), metadata)


def direct_requests(settings: Settings, credentials: Credentials | None) -> DirectRequests | None:
    """For a service of one's own that the settings name; None for AWS, whose addresses boto3 knows,
    and where there are no credentials."""
    if not settings.s3_endpoint or credentials is None:
        return None
    return DirectRequests(settings, settings.s3_endpoint, credentials)
