"""Frames between a worker and its engines arrive whole, however large, or not at all."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from inkmill.worker.link import Frame, Link, receive, send


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    ours, theirs = map(Link, socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_parts_of_any_size_arrive_in_order(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    parts = [b"", os.urandom(5_000_000), b"x", b"", os.urandom(70_000)]
    frames = [Frame({"op": "read", "request": n}, parts[n:]) for n in range(3)]

    def write() -> None:
        for frame in frames:
            send(ours, frame)

    sender = threading.Thread(target=write)
    sender.start()
    for frame in frames:
        found = receive(theirs)
        assert found.head == frame.head
        assert list(found.parts) == frame.parts
    sender.join()


def test_celery_s_time_limit_for_sockets_while_it_drains_is_not_for_engines(
    ends: tuple[Link, Link],
) -> None:
    """It holds for all sockets that the process makes meanwhile, and makes them non-blocking."""
    frame = Frame({"op": "read"}, [os.urandom(5_000_000)])
    socket.setdefaulttimeout(0.05)
    try:
        fresh = tuple(map(Link, socket.socketpair()))
        for ours, theirs in (ends, fresh):
            sender = threading.Timer(0.2, send, [ours, frame])
            sender.start()
            assert list(receive(theirs).parts) == list(frame.parts)
            sender.join()
            assert os.get_blocking(ours.fileno())
            assert os.get_blocking(theirs.fileno())
    finally:
        socket.setdefaulttimeout(None)
    for each in fresh:
        each.close()


def test_a_receiver_that_goes_in_mid_frame_is_noticed(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    failed: list[OSError] = []

    def write() -> None:
        try:
            send(ours, Frame({"op": "read"}, [bytes(50_000_000)]))
        except OSError as error:
            failed.append(error)

    sender = threading.Thread(target=write)
    sender.start()
    theirs.recv_bytes()
    theirs.close()
    sender.join(10)
    assert failed


def test_half_a_part_is_the_end(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    whole = Frame({"op": "rows"}, [bytes(100)])
    send(ours, whole)
    data = os.read(theirs.fileno(), 10_000)
    os.write(ours.fileno(), data[:-40])
    ours.close()
    with pytest.raises(EOFError):
        receive(theirs)
