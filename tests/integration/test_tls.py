"""Redis by TLS, with certificates on both sides; a proxy speaks TLS where redis-server cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from inkmill.backends.broker import connect
from inkmill.backends.queue import Queue
from inkmill.errors import Unreachable
from inkmill.local.servers import Stack
from inkmill.settings import Settings
from tests.certificates import Certificates
from tests.faults.proxies import TcpProxy
from tests.sentinels import Watched


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def encrypted(stack: Stack, certificates: Certificates) -> Iterator[Settings]:
    """Settings that reach Redis through TLS alone."""
    plain = urlsplit(stack.settings.redis_url)
    with TcpProxy(plain.port or 0, tls=certificates.server()) as proxy:
        url = f"rediss://:{plain.password}@127.0.0.1:{proxy.port}/0"
        changes = {"redis_url": url, "redis_timeout": 5.0, **certificates.client()}
        yield stack.settings.model_copy(update=changes)


def test_both_clients_speak_tls(encrypted: Settings) -> None:
    """redis-py for hints, and Celery for messages."""
    queue = Queue(encrypted)
    queue.send_only("encrypted", "low")
    assert "encrypted:0" in queue.present()
    queue.client.delete("inkmill.low.single")
    queue.forget("encrypted")


def test_a_server_that_is_not_known_is_refused(encrypted: Settings, tmp_path: Path) -> None:
    other = Certificates.make(tmp_path / "theirs")
    for changes in ({"ca_bundle": other.authority}, {"ca_bundle": None}):
        queue = Queue(encrypted.model_copy(update=changes))
        with pytest.raises(Unreachable, match="certificate verify failed"):
            queue.lengths()
        with pytest.raises(Unreachable):
            queue.send("x", 0, "low")


def test_a_client_that_is_not_known_is_refused(encrypted: Settings, tmp_path: Path) -> None:
    other = Certificates.make(tmp_path / "theirs")
    strange = {"redis_client_cert": other.client_cert, "redis_client_key": other.client_key}
    for changes in (strange, dict.fromkeys(strange)):
        with pytest.raises(Unreachable):
            Queue(encrypted.model_copy(update=changes)).lengths()


def test_sentinels_have_a_password_and_tls_of_their_own(
    certificates: Certificates, settings: Settings, tmp_path: Path
) -> None:
    """Redis itself in plain, as behind a private network."""
    with (
        Watched(tmp_path / "redis", settings, None) as watched,
        TcpProxy(watched.sentinels[0], tls=certificates.server()) as proxy,
    ):
        url = watched.settings.redis_url.split(";")[1]
        near = url.replace(str(watched.sentinels[1]), str(proxy.port))
        chosen = watched.settings.model_copy(
            update={"redis_url": near, "redis_sentinel_tls": True, **certificates.client()}
        )
        queue = Queue(chosen)
        queue.send_only("watched", "low")
        assert "watched:0" in queue.present()
        assert connect(chosen).info("replication")["role"] == "master"
        without = chosen.model_copy(update={"redis_sentinel_password": None})
        with pytest.raises(Unreachable):
            Queue(without).lengths()
