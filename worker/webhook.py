"""Sending one notice: by a signed webhook, or to the operator's command.

Webhooks are those of the Standard Webhooks specification (https://www.standardwebhooks.com): the
headers webhook-id, webhook-timestamp and webhook-signature, an HMAC-SHA256 over both and the body.
Libraries in many languages verify them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import shlex
import subprocess
import time
from urllib.parse import urlsplit

import urllib3

from inkmill.errors import InkmillError, UsageError
from inkmill.records.notices import COMMAND, Notice, check_target
from inkmill.setting_values import SECRET_PREFIX
from inkmill.settings import Settings
from inkmill.urls import origin

#: A receiver has so long to answer, a command to end (seconds).
_ANSWER_SECONDS, _COMMAND_SECONDS = 10.0, 60.0
#: What an error shows of a command's output.
_SHOWN = 200


class NotDelivered(InkmillError):
    """A receiver did not take a notice. ``final``: it says that it never will."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def deliver(settings: Settings, target: str, notice: Notice) -> None:
    """Send a notice to the target that a job's record names. Raises NotDelivered.

    The settings of this worker decide where it may go, whatever the record says.
    """
    try:
        check_target(target, settings.on_done_origins)
    except UsageError as error:
        raise NotDelivered(f"refused: {error}") from None
    if target == COMMAND:
        _run(settings, notice)
    else:
        _post(settings, target, notice)


def signature(secret: bytes, event: str, timestamp: int, body: bytes) -> str:
    """The value of webhook-signature: ``v1,`` and the HMAC-SHA256 of ``id.timestamp.body`` in
    Base64."""
    signed = f"{event}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _post(settings: Settings, url: str, notice: Notice) -> None:
    if settings.on_done_secret is None:
        raise NotDelivered("this worker has no INKMILL_ON_DONE_SECRET to sign webhooks with")
    now = int(time.time())
    secret = settings.on_done_secret.get_secret_value().removeprefix(SECRET_PREFIX)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "inkmill",
        "webhook-id": notice.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(base64.b64decode(secret), notice.id, now, notice.body),
    }
    status = _status(settings, url, headers, notice.body)
    if not 200 <= status < 300:
        raise NotDelivered(f"{origin(url)} answered {status}", final=status == 410)


def _status(settings: Settings, url: str, headers: dict[str, str], body: bytes) -> int:
    """The status of the answer. Connects to the origin that was checked and to nothing else: no
    redirect is followed, no proxy is used, and the URL is not parsed a second time."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    ca = str(settings.ca_bundle) if settings.ca_bundle else None
    try:
        with urllib3.PoolManager(ca_certs=ca) as manager:
            answer = manager.connection_from_url(origin(url)).urlopen(
                "POST",
                path,
                body=body,
                headers=headers,
                timeout=_ANSWER_SECONDS,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            answer.close()
            return answer.status
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NotDelivered(f"{origin(url)} does not answer: {type(error).__name__}") from error


def _run(settings: Settings, notice: Notice) -> None:
    """Run the operator's command, with the notice on its standard input."""
    if settings.on_done_command is None:
        raise NotDelivered("this worker has no INKMILL_ON_DONE_COMMAND")
    try:
        done = subprocess.run(
            shlex.split(settings.on_done_command),
            input=notice.body,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotDelivered(f"the command took longer than {_COMMAND_SECONDS:.0f} s") from None
    except OSError as error:
        raise NotDelivered(f"the command cannot be run: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-_SHOWN:]
        raise NotDelivered(f"the command ended with code {done.returncode}: {said}")
