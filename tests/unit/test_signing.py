"""Messages with a signature: only those of a sender who has a key."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from inkmill import names
from inkmill.backends.broker import UNACKED
from inkmill.backends.queue import deliveries
from inkmill.backends.queue.signing import Signer
from inkmill.errors import BadMessage, SettingsError
from inkmill.records.messages import Delivery, Message
from inkmill.settings import Settings
from tests.fakes import FakeQueue

OLD, NEW = "0" * 32, "1" * 32
QUEUE = names.queue("normal")


def signer(key: str | None, accepted: str | None = None) -> Signer:
    made = {"message_key": key, "message_key_accepted": accepted}
    return Signer.of(
        Settings.model_validate({name: each for name, each in made.items() if each is not None})
    )


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True), st.integers(0, 10**7))
def test_a_signature_survives_its_way_through_the_queue(job: str, chunk: int) -> None:
    message = Message(job, chunk)
    entry = signer(NEW).sign(message).entry(QUEUE, "tag")
    found = signer(NEW).check(Message.in_entry(entry))
    assert (found.job, found.chunk) == (job, chunk)
    assert Message.decode(found.encode()) == found


def test_what_is_not_signed_with_a_key_of_ours_is_refused() -> None:
    ours, good = signer(NEW), signer(NEW).sign(Message("job", 7))
    with pytest.raises(BadMessage, match="is not signed: its sender has no INKMILL_MESSAGE_KEY"):
        ours.check(Message("job", 7))
    for forged in (
        signer(OLD).sign(Message("job", 7)),
        replace(good, chunk=8),
        replace(good, job="jo"),
        replace(good, signature=good.signature[::-1]),
    ):
        with pytest.raises(BadMessage, match="signature is wrong"):
            ours.check(forged)
    with pytest.raises(BadMessage, match="signature"):
        Message.decode({**good.encode(), "signature": "short"})


def test_without_a_key_nothing_is_signed_and_everything_is_taken() -> None:
    none = signer(None)
    assert none.sign(Message("job", 1)) == Message("job", 1)
    none.check(signer(NEW).sign(Message("job", 1)))


def test_a_key_is_changed_in_three_rounds() -> None:
    """Whoever is one round ahead or behind is understood."""
    rounds = [signer(OLD), signer(OLD, NEW), signer(NEW, OLD), signer(NEW)]
    for one, other in pairwise(rounds):
        one.check(other.sign(Message("job", 1)))
        other.check(one.sign(Message("job", 1)))


def test_a_forged_record_of_a_delivery_is_not_signed_on_its_way_back() -> None:
    client = fakeredis.FakeStrictRedis()
    queue = FakeQueue(Settings(message_key=SecretStr(NEW)), client)
    deliveries.record(client, "forged", Delivery("job", 1, QUEUE, "w"))
    assert queue.present() == set()
    assert deliveries.give_back(client, "forged")
    with pytest.raises(BadMessage, match="not signed"):
        signer(NEW).check(Message.in_entry(client.rpop(QUEUE)))
    # One that was delivered is given back as it was.
    good = signer(NEW).sign(Message("job", 2))
    delivery = Delivery("job", 2, QUEUE, "w", signature=good.signature)
    deliveries.record(client, "ours", delivery)
    assert queue.present() == {"job:2"}
    assert deliveries.give_back(client, "ours")
    assert signer(NEW).check(Message.in_entry(client.rpop(QUEUE))) == good
    assert client.hlen(UNACKED) == 0


def test_a_forged_message_counts_as_absent() -> None:
    """Else the reconciler would not send the chunk that it names."""
    queue = FakeQueue(Settings(message_key=SecretStr(NEW)), fakeredis.FakeStrictRedis())
    queue.client.lpush(QUEUE, Message("job", 3).entry(QUEUE, "tag"))
    queue.send("job", 4, "normal")
    assert queue.present() == {"job:4"}


def test_keys_are_long_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingsError, match="at least 32 characters: openssl rand") as refused:
        Settings.load({"INKMILL_MESSAGE_KEY": "hush-hush"})
    assert "hush-hush" not in str(refused.value)
    with pytest.raises(SettingsError, match="message_key_accepted needs message_key"):
        Settings.load({"INKMILL_MESSAGE_KEY_ACCEPTED": NEW})
    logging.getLogger("x").warning("%r %r", signer(NEW), signer(NEW).sign(Message("job", 1)))
    assert NEW not in caplog.text
