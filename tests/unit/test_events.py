"""What people typed: added once, and the last that each of them typed counts."""

from __future__ import annotations

from inkmill.backends import event_log
from inkmill.backends.store import MemoryStore
from inkmill.records import events
from inkmill.records.events import Event


def typed(store: MemoryStore, when: float, *values: str, who: str = "ann") -> bool:
    said = [Event(number, "f", value, "5?", who, when) for number, value in enumerate(values)]
    return event_log.add(store, "j", said)


def held(store: MemoryStore) -> list[str | None]:
    found = events.verdicts(event_log.load(store, "j"))
    return [found[place].value for place in sorted(found)]


def test_a_person_may_go_back_to_what_was_typed_first() -> None:
    store = MemoryStore()
    assert [typed(store, when, value) for when, value in enumerate("575")] == [True] * 3
    assert held(store) == ["5"]
    assert typed(store, 4, "7")
    assert held(store) == ["7"]


def test_the_very_same_again_adds_nothing() -> None:
    store = MemoryStore()
    assert typed(store, 1, "5", "6")
    for when in (2, 3):
        assert not typed(store, when, "5", "6")
    assert len(list(store.list(""))) == 1
    assert held(store) == ["5", "6"]


def test_an_old_list_does_not_undo_what_was_corrected_since() -> None:
    store = MemoryStore()
    assert typed(store, 1, "5", "6")
    assert typed(store, 2, "7")
    for when in (3, 4):
        assert not typed(store, when, "5", "6")
    assert held(store) == ["7", "6"]
    # Who was wrong about the correction types that one answer again.
    assert typed(store, 5, "5")
    assert held(store) == ["5", "6"]


def test_what_others_typed_meanwhile_does_not_matter() -> None:
    store = MemoryStore()
    assert typed(store, 1, "5")
    assert typed(store, 2, "7", who="bob")
    assert not typed(store, 3, "5")
    assert held(store) == [None]
