"""URLs of servers: shown without their passwords, and refused where a client would misread them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: What may be a URL with a password in a longer text: all up to the last @ goes, since a password
#: may hold anything, and since the scheme may be mistyped. An @ is common in the keys and paths of
#: other URLs, whose passwords end at the first slash.
_CREDENTIALS = re.compile(
    r"\b(?!(?:s3|https?|file)://)([A-Za-z][A-Za-z0-9+.-]*:/{0,3})\S*@"
    r"|\b((?:s3|https?|file)://)[^/\s]*@"
)
_SECRET = re.compile(r"([?&](?:password|passwd|secret|token)[a-z_]*=)[^&\s'\"]+", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_WHOLE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/*|/*).*@", re.DOTALL)


def redact(text: str) -> str:
    """A text without the passwords of the URLs in it.

    >>> redact("INKMILL_REDIS_URL: redsi://:hunter2@redis:6379/0")
    'INKMILL_REDIS_URL: redsi://…@redis:6379/0'
    """
    shorter = _CREDENTIALS.sub(lambda found: f"{found[1] or found[2]}…@", text)
    return _SECRET.sub(r"\1…", shorter)


def redact_url(value: str) -> str:
    """A value that should be a URL, or several, without passwords, whatever is wrong with it.

    >>> redact_url("hunter2@redis:6379/0")
    '…@redis:6379/0'
    """
    return _SECRET.sub(r"\1…", _WHOLE.sub(r"\1…@", value, count=1))


def check_url(url: str) -> None:
    """Raises ValueError for a URL whose host or port cannot be read, without a part of it."""
    try:
        urlsplit(url).port  # noqa: B018  raises
    except ValueError:
        raise ValueError(
            "its host or port cannot be read: write special characters of a password as %XX "
            "(%40 for @, %2F for /, %23 for #)"
        ) from None


def origin(url: str) -> str:
    """Scheme, host and port of an http or https URL, in lower case and without a default port.

    Raises ValueError for another URL, and for one with a password, since that would be stored.

    >>> origin("https://Hooks.example.org:443/inkmill")
    'https://hooks.example.org'
    """
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port  # raises ValueError for a port that is none
    if parts.scheme not in _PORTS or not host or any(c.isspace() or c == "\\" for c in url):
        raise ValueError("not an http or https URL")
    if parts.username is not None or parts.fragment:
        raise ValueError("a URL without user, password and fragment is needed")
    shown = f"[{host}]" if ":" in host else host
    ending = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown}{ending}"
