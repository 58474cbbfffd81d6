"""botocore's errors in our words: what the object store said, to which object, and what to do."""

from __future__ import annotations

from typing import Any

from inkmill.errors import NotFound, PreconditionFailed, StoreDenied, Unreachable


class NotModified(Exception):
    """S3's answer 304 to a conditional GET."""


_DENIED = {
    "403",
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "NoSuchBucket",
    "AllAccessDisabled",
    "AccountProblem",
}

#: Answers that another try may change, whatever their number: the store was busy, or a request
#: was damaged on its way.
_PASSING = {
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "OperationAborted",
    "ConditionalRequestConflict",
    "ServiceUnavailable",
    "InternalError",
    "TooManyRequests",
    "TooManyRequestsException",
    "RequestThrottled",
    "BandwidthLimitExceeded",
}
#: The same by number: timeout, conflict, too early, too many requests.
_PASSING_HTTP = {408, 409, 425, 429}
#: What to do about some refusals of one object.
_REMEDIES = {
    "PermanentRedirect": "the bucket is in another region: set INKMILL_S3_REGION, or copy it",
    "InvalidObjectState": "the object is archived: restore it first",
    "InvalidRequest": "objects encrypted with your own key (SSE-C) cannot be read: copy it",
}


class S3Errors:
    """Turns botocore's errors into ours: NotFound, PreconditionFailed, Unreachable, StoreDenied."""

    def __init__(self, bucket: str, key: str) -> None:
        self._where = f"{bucket}/{key}"
        self._bucket = bucket

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object):  # type: ignore[no-untyped-def]
        if error is None:
            return
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from urllib3.exceptions import HTTPError

        if isinstance(error, ClientError):
            raise self._translate(error) from error
        if isinstance(error, NoCredentialsError):
            raise StoreDenied(
                f"bucket {self._bucket}: no credentials were found: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, a profile or a workload role, or start servers of your "
                "own in this folder: inkmill up"
            ) from error
        if isinstance(error, BotoCoreError | HTTPError | OSError):
            raise Unreachable(f"object store does not answer for {self._where}: {error}") from error

    def _translate(self, error: Any) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        http = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if http == 304:
            return NotModified()
        refuses = f"object store refuses {self._where} ({code or http})"
        if code in _REMEDIES:
            return StoreDenied(f"{refuses}: {error}: {_REMEDIES[code]}")
        if code in _DENIED or (http in (401, 403) and code not in _PASSING):
            return StoreDenied(
                f"{refuses}: check the bucket's name, the credentials and their rights"
            )
        if http == 404 or code in ("NoSuchKey", "404"):
            return NotFound(f"there is no object {self._where}")
        if http == 412 or code == "PreconditionFailed":
            return PreconditionFailed(f"{self._where} was changed by another process")
        if _is_for_good(code, http):
            return StoreDenied(f"{refuses}: {error}: retrying will not help")
        clock = ": synchronise this host's clock" if code == "RequestTimeTooSkewed" else ""
        return Unreachable(
            f"object store failed for {self._where} ({code or http}): {error}{clock}"
        )


def _is_for_good(code: str, http: int) -> bool:
    """Whether the same request will be answered so again."""
    if code in _PASSING or http in _PASSING_HTTP:
        return False
    return 300 <= http < 500 or http == 501


def was_repeated(error: Any) -> bool:
    """Whether botocore had sent the request before: its first answer may have got lost."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def is_not_implemented(error: Any) -> bool:
    """Whether the service does not know a header of the request."""
    response = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return bool(code == "NotImplemented" or status == 501)


#: Answers to DeleteObjects of services that want another checksum, or do not know the request.
_NO_DELETE_OBJECTS = {
    *("MissingContentMD5", "InvalidDigest", "InvalidRequest", "InvalidArgument"),
    *("MethodNotAllowed", "NotImplemented", "MalformedXML"),
}


def refuses_delete_objects(error: Any) -> bool:
    """Whether the service refused DeleteObjects as a request, and not for lack of a right."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return code in _NO_DELETE_OBJECTS or is_not_implemented(error)
