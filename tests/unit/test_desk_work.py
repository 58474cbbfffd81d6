"""Review at the desk without its pages: tasks, leases, answers, rounds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from inkmill.backends import event_log
from inkmill.backends.store import ObjectInfo, Stored
from inkmill.desk.review import supply
from inkmill.desk.review.tasks import (
    AUDIT,
    CLEARED,
    DECIDE,
    GROUP,
    KEY,
    SECOND,
    Options,
    Remark,
    keep_options,
)
from inkmill.desk.review.work import Given, Holder, JobReview
from inkmill.errors import UsageError
from inkmill.people import lists
from inkmill.people import review as by_list
from inkmill.producer import results
from inkmill.records import events
from inkmill.records.events import Event
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import codes_job, sums_job
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row

ANNA, BEN, CARA, SUE, SAM = (
    Holder(name, f"tab-{name}") for name in ("anna", "ben", "cara", "sue", "sam")
)
ALL = (GROUP, KEY)


def given(review: JobReview, holder: Holder, kinds: Sequence[str] = ALL) -> Given:
    found = review.next(holder, kinds)
    assert found is not None
    return found


def confirm_all(review: JobReview, task: Given, holder: Holder, odd: str = "") -> None:
    """Confirm a screen; the first cell's field gets another value if ``odd`` is given."""
    values = {each.place: each.shown for each in task.left}
    if odd:
        values[task.left[0].place] = odd
    assert not review.confirm(task.ref, holder, values).late


def held(cluster: FakeCluster, job: str) -> dict[tuple[int, str], tuple[str, str, str]]:
    return {
        (row.item, each.name): (each.value, str(each.status), each.source)
        for row in results(job, connection=cluster.connection)
        for each in row.fields
    }


def test_a_screen_settles_all_its_fields_with_one_confirmation(cluster: FakeCluster) -> None:
    job, _ = codes_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    assert (task.ref.task.kind, task.ref.task.digit, len(task.left)) == (GROUP, "7", 12)
    assert [each.item for each in task.left[:2]] == [5, 5]  # the least sure first
    confirm_all(review, task, ANNA, odd="1231")
    found = held(cluster, job)
    assert found[5, "code_0"] == ("1231", "ok", "review:anna")
    assert Counter(found.values()) == {
        ("1231", "ok", "review:anna"): 1,
        ("1237", "ok", "review:anna"): 11,
    }
    assert review.next(BEN, ALL) is None


def test_only_cells_whose_confirmation_settles_a_field_come_to_a_screen(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    assert task.ref.task.kind == KEY
    assert [each.field for each in task.left] == ["a", "b"]
    assert task.left[0].proposed == "67"


def test_a_value_that_makes_the_sum_right_frees_the_other_fields(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    told = review.behind.problems(task.ref, {task.left[0].place: "68"})
    assert "68 + 41 is 109, and total is 108" in told[0].message
    assert review.behind.problems(task.ref, {task.left[0].place: "67"}) == []
    done = review.answer(task.ref, ANNA, task.left[0].place, "67")
    assert (done.value, done.left, done.late) == ("67", (), "")
    assert given(review, ANNA).left[0].item == 1
    assert held(cluster, job)[0, "b"] == ("41", "ok", "read")


def test_what_is_no_value_of_the_field_is_refused_and_not_stored(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    with pytest.raises(UsageError, match="'1234' is longer than its 3 cells"):
        review.answer(task.ref, ANNA, task.left[0].place, "1234")
    assert event_log.load(cluster.store, job) == []


def test_no_two_people_get_the_same_task_and_one_that_goes_away_is_given_on(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster)
    review, other = (JobReview(cluster.connection, job) for _ in range(2))
    first = given(review, ANNA)
    assert given(review, ANNA).ref.place == first.ref.place  # a page that is loaded again
    second = given(other, BEN)
    assert second.ref.place != first.ref.place
    review.release(first.ref, ANNA)
    assert given(other, CARA).ref.place == first.ref.place
    assert review.renew(first.ref, ANNA) == "cara"


def test_a_lease_that_is_not_renewed_runs_out(cluster: FakeCluster) -> None:
    queue = cluster.queue
    assert queue.lease("tally", "anna/1", 0.2, ["0-0"]) == "0-0"
    assert queue.lease("tally", "ben/1", 60, ["0-0"]) is None
    end = time.monotonic() + 30
    while (task := queue.lease("tally", "ben/1", 60, ["0-0"])) is None:
        assert time.monotonic() < end
    assert queue.hold("tally", "anna/1", 60, task) == "ben/1"
    assert {name: each.holder for name, each in queue.leases("tally").items()} == {"0-0": "ben/1"}
    queue.revoke("tally", ["0-0"])
    assert queue.hold("tally", "anna/1", 60, task) == ""


def test_a_task_that_is_assigned_goes_to_the_first_tab_of_its_person(
    cluster: FakeCluster,
) -> None:
    queue = cluster.queue
    assert queue.lease("tally", "anna/1", 60, ["0-0", "0-1"]) == "0-0"
    queue.assign("tally", "ben", 60, ["0-0"])
    assert queue.hold("tally", "anna/1", 60, "0-0") == "ben/"
    assert queue.lease("tally", "anna/1", 60, ["0-0", "0-1"]) == "0-1"
    assert queue.lease("tally", "benno/1", 60, ["0-0", "0-1"]) is None
    assert queue.lease("tally", "ben/2", 60, ["0-1", "0-0"]) == "0-0"
    assert queue.hold("tally", "ben/1", 60, "0-0") == "ben/2"
    queue.assign("tally", "ben", 0.2, ["0-0"])
    end = time.monotonic() + 30
    while queue.lease("tally", "anna/1", 60, ["0-0"]) is None:
        assert time.monotonic() < end


def test_a_late_answer_is_kept_told_and_settles_nothing(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster)
    review, other = (JobReview(cluster.connection, job) for _ in range(2))
    task = given(review, ANNA)
    place = task.left[0].place
    cluster.queue.client.flushall()  # Redis forgets whose it is
    again = given(other, BEN)
    assert again.ref.place == task.ref.place
    assert review.answer(task.ref, ANNA, place, "68").late == "ben"
    cluster.queue.client.flushall()
    assert not other.answer(again.ref, BEN, place, "67").late
    cluster.queue.client.flushall()
    assert review.answer(task.ref, ANNA, place, "61").late == "ben"  # the store knows as well
    assert held(cluster, job)[place] == ("67", "ok", "review:ben")
    late = [each for each in event_log.load(cluster.store, job) if each.source == events.LATE]
    assert sorted((each.who, each.value) for each in late) == [("anna", "61"), ("anna", "68")]


def test_an_answer_that_is_sent_twice_counts_once_and_can_be_corrected(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    place = task.left[0].place
    for _ in range(2):
        assert not review.answer(task.ref, ANNA, place, "65").late
    review.answer(task.ref, ANNA, place, "67", again=True)
    assert [each.value for each in event_log.load(cluster.store, job)] == ["65", "67"]
    assert held(cluster, job)[place] == ("67", "ok", "review:anna")
    with pytest.raises(UsageError, match="what you entered yourself"):
        review.answer(task.ref, BEN, place, "61", again=True)


def test_answers_are_taken_while_redis_is_away(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(cluster.queue.client, "execute_command", away)
    assert not review.answer(task.ref, ANNA, task.left[0].place, "67").late
    assert held(cluster, job)[task.left[0].place] == ("67", "ok", "review:anna")


def test_a_new_server_knows_what_was_done_from_the_bucket_alone(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    review.answer(task.ref, ANNA, task.left[0].place, "67")
    task = given(review, ANNA)
    review.answer(task.ref, ANNA, task.left[0].place, "60")  # the sum is still off
    cluster.queue.client.flushall()
    fresh = JobReview(cluster.connection, job)
    after = given(fresh, BEN)
    assert after.ref.place == task.ref.place
    assert [each.field for each in after.left] == ["b"]


def test_a_list_that_is_imported_takes_its_fields_off_the_desk(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster, pages=1)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    record = by_list.form_job(cluster.connection, job)
    sheet = lists.FilledList(
        lists.About.of(record, lists.REVIEW), [lists.TypedValue(0, "a", "61", "67", 2)]
    )
    by_list.import_list(cluster.connection, sheet, "dora")
    fresh = JobReview(cluster.connection, job)
    assert fresh.behind.left(task.ref) == ()
    assert fresh.next(BEN, ALL) is None


def test_a_stated_share_is_keyed_twice_blind_and_differences_go_to_a_third(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster, pages=1)
    keep_options(cluster.store, job, Options(second_share=1.0))
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    place = task.left[0].place
    review.answer(task.ref, ANNA, place, "67")
    assert review.next(ANNA, (SECOND,)) is None  # not by whom it was keyed first
    second = given(review, BEN, (SECOND,))
    assert [each.place for each in second.left] == [place]
    review.answer(second.ref, BEN, place, "61")
    assert held(cluster, job)[place][1] == "review"
    assert review.next(BEN, (SECOND,)) is None
    third = given(review, CARA, (SECOND,))
    with pytest.raises(UsageError, match="none is shown"):
        review.answer(third.ref, CARA, place, ".")  # blind: nothing was shown
    review.answer(third.ref, CARA, place, "67")
    assert held(cluster, job)[place] == ("67", "ok", "review:anna+cara")


def test_a_supervisor_decides_where_three_people_differ_and_another_comes_late(
    cluster: FakeCluster,
) -> None:
    job, _ = sums_job(cluster, pages=1)
    keep_options(cluster.store, job, Options(second_share=1.0, hidden=True))
    review = JobReview(cluster.connection, job)
    place = given(review, ANNA).left[0].place
    for holder, kind, value in ((ANNA, KEY, "67"), (BEN, SECOND, "61"), (CARA, SECOND, "64")):
        review.answer(given(review, holder, (kind,)).ref, holder, place, value)
    assert held(cluster, job)[place][1] == "review"
    task = given(review, SUE, (DECIDE,))
    assert not task.ref.task.blind
    assert review.behind.entries(task.left[0]) == [
        ("61", ["ben"]), ("64", ["cara"]), ("67", ["anna"]),
    ]  # fmt: skip
    said = review.answer(task.ref, SUE, place, "67")
    assert (said.left, said.late) == ((), "")
    assert held(cluster, job)[place] == ("67", "ok", "review:sue")
    assert review.answer(task.ref, SAM, place, "61").late == "sue"
    review.answer(task.ref, SUE, place, "66", again=True)  # a value that nobody entered
    assert held(cluster, job)[place] == ("66", "ok", "review:sue")
    assert review.next(SAM, (DECIDE,)) is None


def test_what_two_people_cannot_read_is_decided(cluster: FakeCluster) -> None:
    job, _ = codes_job(cluster, pages=1, fields=1)
    review = JobReview(cluster.connection, job)
    screen = given(review, ANNA)
    place = screen.left[0].place
    review.confirm(screen.ref, ANNA, {place: "?"})
    review.answer(given(review, BEN, (KEY,)).ref, BEN, place, "?")
    task = given(review, SUE, (DECIDE,))
    review.answer(task.ref, SUE, place, "?")
    assert held(cluster, job)[place][1] == "review"
    assert review.next(SUE, (DECIDE, KEY)) is None


def test_a_template_names_fields_that_are_keyed_twice(cluster: FakeCluster) -> None:
    template = form({"a": "3|type: code, double_entry: true", "b": "3|type: code"})
    unread = {(name, 0): replace(cell("?", 0.9), confidence=0.9) for name in ("a", "b")}
    job = finished_job(cluster, template, [row(template, 0, {"a": "?12", "b": "?12"}, unread)])
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    for each in task.left:
        review.answer(task.ref, ANNA, each.place, "312")
    assert [each.field for each in given(review, BEN, (SECOND,)).left] == ["a"]


def test_an_audit_is_keyed_in_the_same_place_and_its_bound_shrinks(cluster: FakeCluster) -> None:
    job, _ = sums_job(cluster, pages=2, good=30)
    review = JobReview(cluster.connection, job)
    assert review.supply.start_audit(25) == 25
    task = given(review, ANNA, (AUDIT,))
    assert len(task.left) == 10
    for number, each in enumerate(task.left):
        review.answer(task.ref, ANNA, each.place, "9" if number == 0 else each.shown)
    (first,) = review.supply.audits()
    assert (first.whole.errors, first.whole.trials, first.missing) == (1, 10, 15)
    task = given(review, BEN, (AUDIT,))
    for each in task.left:
        review.answer(task.ref, BEN, each.place, each.shown)
    (second,) = review.supply.audits()
    assert (second.whole.errors, second.whole.trials) == (1, 20)
    assert second.whole.high < first.whole.high


def test_flags_skips_and_unreadable_fields_go_where_they_belong(cluster: FakeCluster) -> None:
    job, _ = codes_job(cluster, pages=3, fields=1)
    review = JobReview(cluster.connection, job)
    screen = given(review, ANNA)
    left_out = screen.left[0].place
    values = {each.place: each.shown for each in screen.left if each.place != left_out}
    review.confirm(screen.ref, ANNA, values)
    alone = given(review, ANNA)
    assert (alone.ref.task.kind, [each.place for each in alone.left]) == (KEY, [left_out])
    review.answer(alone.ref, ANNA, left_out, "?")
    assert review.next(ANNA, ALL) is None
    other = given(review, BEN)
    assert review.flag(other.ref, BEN, left_out[0], "upside down") == ()
    assert review.next(CARA, ALL) is None
    assert review.known.flags().pages[left_out[0]].text == "upside down"


def test_a_look_for_tasks_that_took_long_is_not_repeated_at_once(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supply, "_QUICK_SECONDS", 0.0)
    monkeypatch.setattr(supply, "_SPARING", 1e6)
    job, _ = sums_job(cluster, pages=2)
    review = JobReview(cluster.connection, job)
    first, second = given(review, ANNA), given(review, BEN)
    assert review.next(CARA, ALL) is None  # a look that finds nothing
    review.flag(first.ref, ANNA, first.left[0].item, "upside down")
    review.connection.queue.revoke(job, [second.ref.name])
    assert given(review, CARA).ref.place == second.ref.place, "tasks that exist are given out"
    event = Event(first.left[0].item, "b", "40", "41", "ben", time.time())
    event_log.add(cluster.store, job, [event])
    event_log.add(cluster.store, job, [replace(event, who="sam", value="44")])
    review.known.say(Remark(CLEARED, event.item, "", "", "sue", time.time()))
    assert review.next(SUE, (SECOND,)) is None
    monkeypatch.setattr(review.supply, "_rest", 0.0)
    assert given(review, SUE, (SECOND,)).left[0].field == "b"


def test_own_answers_are_not_read_again_and_nobody_waits_for_a_listing(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = sums_job(cluster, pages=3)
    review = JobReview(cluster.connection, job)
    task = given(review, ANNA)
    read, listing, go_on = list[str](), threading.Event(), threading.Event()
    get, listed = cluster.store.get, cluster.store.list

    def counted(key: str) -> Stored:
        read.append(key)
        return get(key)

    def slow(prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        listing.set()
        assert go_on.wait(60)
        return listed(prefix, after=after)

    monkeypatch.setattr(cluster.store, "get", counted)
    review.answer(task.ref, ANNA, task.left[0].place, "67")
    assert len(review.known.events(fresh=0.0)) == 1
    assert [key for key in read if "/events/" in key] == []

    monkeypatch.setattr(cluster.store, "list", slow)
    looking = threading.Thread(target=review.known.events, args=(0.0,))
    looking.start()
    assert listing.wait(60)
    assert len(review.known.events(fresh=1e-9)) == 1  # while the other still looks
    go_on.set()
    looking.join(60)
