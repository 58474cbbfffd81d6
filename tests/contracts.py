"""What stores and queues promise, tested alike on the fakes and on the real servers.

tests/unit runs these on MemoryStore and fakeredis, tests/integration on S3 and Redis.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import Store, delete_prefix, exists
from inkmill.errors import Corrupt, NotFound, PreconditionFailed


class StoreContract:
    """A subclass gives the fixture ``store``: an empty one."""

    def test_what_was_put_is_got_with_its_metadata(self, store: Store) -> None:
        etag = store.put("jobs/a/x", b"\x00bytes", metadata={"digest": "abc"})
        stored = store.get("jobs/a/x")
        assert stored.data == b"\x00bytes"
        assert stored.etag == etag
        assert stored.metadata["digest"] == "abc"

    def test_an_object_that_is_too_large_is_not_read(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("jobs/a/job.json", b"0123456789")
        store.put("jobs/a/x.parquet", b"0123456789")
        assert store.get("jobs/a/job.json").data == b"0123456789"
        monkeypatch.setattr("inkmill.names.sizes._MOST_RECORD", 9)
        for read in (store.get, lambda key: store.get_if_changed(key, '"0123456789abcdef"')):
            with pytest.raises(Corrupt, match=r"jobs/a/job.json is damaged: it has 10 bytes"):
                read("jobs/a/job.json")
        assert store.get("jobs/a/x.parquet").data == b"0123456789"

    def test_an_empty_object_exists(self, store: Store) -> None:
        store.put("open/a", b"")
        assert exists(store, "open/a")
        assert store.get("open/a").data == b""

    def test_what_is_not_there(self, store: Store) -> None:
        with pytest.raises(NotFound, match="nowhere"):
            store.get("nowhere")
        assert store.head("nowhere") is None
        assert not exists(store, "nowhere")

    def test_head_gives_metadata_without_the_bytes(self, store: Store) -> None:
        store.put("a", b"1", metadata={"digest": "d", "items": "3"})
        about = store.head("a")
        assert about is not None
        assert (about["digest"], about["items"]) == ("d", "3")

    def test_only_the_first_writer_wins(self, store: Store) -> None:
        store.put("a", b"first", if_none_match=True)
        with pytest.raises(PreconditionFailed):
            store.put("a", b"second", if_none_match=True)
        assert store.get("a").data == b"first"

    def test_one_of_many_writers_at_once_wins(self, store: Store) -> None:
        def write(number: int) -> bool:
            try:
                store.put("a", str(number).encode(), if_none_match=True)
            except PreconditionFailed:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = [number for number, did in enumerate(pool.map(write, range(8))) if did]
        assert len(won) == 1
        assert store.get("a").data == str(won[0]).encode()

    def test_replaced_only_from_the_state_that_was_read(self, store: Store) -> None:
        first = store.put("a", b"1")
        second = store.put("a", b"2", if_match=first)
        with pytest.raises(PreconditionFailed):
            store.put("a", b"3", if_match=first)
        assert store.get("a").data == b"2"
        store.put("a", b"3", if_match=second)
        assert store.get("a").data == b"3"

    def test_if_match_demands_that_there_is_one(self, store: Store) -> None:
        with pytest.raises((PreconditionFailed, NotFound)):
            store.put("a", b"1", if_match='"0123456789abcdef0123456789abcdef"')
        assert not exists(store, "a")

    def test_read_only_if_changed(self, store: Store) -> None:
        etag = store.put("a", b"1")
        assert store.get_if_changed("a", etag) is None
        store.put("a", b"2")
        changed = store.get_if_changed("a", etag)
        assert changed is not None
        assert changed.data == b"2"
        with pytest.raises(NotFound):
            store.get_if_changed("b", etag)

    def test_lists_in_key_order_below_a_prefix(self, store: Store) -> None:
        for key in ("a/2", "a/10", "b/1", "a/1"):
            store.put(key, key.encode())
        entries = list(store.list("a/"))
        assert [entry.key for entry in entries] == ["a/1", "a/10", "a/2"]
        assert [entry.size for entry in entries] == [3, 4, 3]
        assert all(abs(entry.modified - time.time()) < 60 for entry in entries)
        assert [entry.key for entry in store.list("a/", after="a/10")] == ["a/2"]
        assert list(store.list("c/")) == []

    def test_lists_more_than_one_answer_holds(self, store: Store) -> None:
        keys = [f"many/{number:05d}" for number in range(1234)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.put(key, b""), keys))
        assert [entry.key for entry in store.list("many/")] == keys
        assert delete_prefix(store, "many/") == 1234
        assert list(store.list("many/")) == []

    def test_folders_right_below(self, store: Store) -> None:
        for key in (
            "jobs/b/job.json",
            "jobs/a/job.json",
            "jobs/a/chunks/0",
            "jobs/a-r2/x",
            "open/c",
        ):
            store.put(key, b"")
        assert sorted(store.folders("jobs/")) == ["jobs/a-r2/", "jobs/a/", "jobs/b/"]
        assert list(store.folders("models/")) == []

    def test_deletes_what_is_there_and_passes_over_the_rest(self, store: Store) -> None:
        store.put("a", b"1")
        store.put("b", b"1")
        store.delete(["a", "never there"])
        store.delete([])
        assert [entry.key for entry in store.list("")] == ["b"]

    def test_deleted_only_in_the_state_that_was_read(self, store: Store) -> None:
        first = store.put("a", b"1")
        second = store.put("a", b"2")
        with pytest.raises(PreconditionFailed):
            store.delete_if_match("a", first)
        assert store.get("a").data == b"2"
        store.delete_if_match("a", second)
        assert not exists(store, "a")
        with pytest.raises(PreconditionFailed):
            store.delete_if_match("a", second)

    def test_one_of_many_deleters_and_a_writer_at_once_wins(self, store: Store) -> None:
        etag = store.put("a", b"1")

        def change(number: int) -> bool:
            try:
                if number == 0:
                    store.put("a", b"2", if_match=etag)
                else:
                    store.delete_if_match("a", etag)
            except (PreconditionFailed, NotFound):
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = [number for number, did in enumerate(pool.map(change, range(8))) if did]
        assert len(won) == 1
        assert exists(store, "a") == (won == [0])

    def test_keys_with_spaces_and_umlauts(self, store: Store) -> None:
        key = "scans/Münster 1+2 %20.png"
        store.put(key, b"x")
        assert store.get(key).data == b"x"
        assert [entry.key for entry in store.list("scans/M")] == [key]
        store.delete([key])
        assert not exists(store, key)


class QueueContract:
    """A subclass gives the fixture ``queue``: on an empty Redis, with a window of 3 chunks."""

    def test_only_the_window_is_sent(self, queue: Queue) -> None:
        assert queue.offer("a", range(10)) == 10
        assert queue.feed("a", "normal") == 3
        assert queue.feed("a", "normal") == 0
        assert queue.lengths() == {"high": 0, "normal": 3, "low": 0}
        assert sorted(queue.in_flight("a")) == [0, 1, 2]
        assert queue.waiting("a") == 7

    def test_what_is_settled_lets_the_next_in(self, queue: Queue) -> None:
        queue.offer("a", range(5))
        queue.feed("a", "normal")
        queue.complete("a", 1)
        assert queue.feed("a", "normal") == 1
        assert sorted(queue.in_flight("a")) == [0, 2, 3]

    def test_the_window_is_each_jobs_own(self, queue: Queue) -> None:
        queue.offer("large", range(100))
        queue.offer("small", [0])
        queue.feed("large", "normal")
        assert queue.feed("small", "normal") == 1

    def test_offered_twice_is_known_once(self, queue: Queue) -> None:
        queue.offer("a", [0, 1])
        queue.feed("a", "normal")
        assert queue.offer("a", [0, 1, 2]) == 1
        assert queue.waiting("a") == 1

    def test_more_chunks_than_one_call_carries(self, queue: Queue) -> None:
        assert queue.offer("a", range(2500)) == 2500
        assert queue.waiting("a") == 2500

    def test_what_redis_holds_is_present(self, queue: Queue) -> None:
        queue.offer("a", [7])
        queue.feed("a", "low")
        assert queue.present() == {"a:7"}

    def test_what_is_lost_goes_back(self, queue: Queue) -> None:
        queue.offer("a", range(4))
        queue.feed("a", "normal")
        queue.requeue("a", [0, 2])
        assert sorted(queue.in_flight("a")) == [1]
        assert queue.waiting("a") == 3
        queue.feed("a", "normal")
        assert sorted(queue.in_flight("a")) == [0, 1, 2]

    def test_a_junk_entry_is_passed_over(self, queue: Queue) -> None:
        queue.client.lpush("inkmill.normal", b"\xffno json", b"{}")
        assert queue.present() == set()

    def test_progress_adds_up(self, queue: Queue) -> None:
        queue.record("a", 0, 10, {"ok": 8, "error": 2}, {"EMPTY_FILE": 2})
        queue.record("a", 1, 5, {"ok": 5}, {})
        queue.record("a", 1, 5, {"ok": 5}, {})  # a chunk counts once
        progress = queue.progress("a")
        assert (progress.chunks, progress.rows) == (2, 15)
        assert progress.statuses == {"ok": 13, "error": 2}
        assert progress.codes == {"EMPTY_FILE": 2}

    def test_forgotten_jobs_leave_nothing(self, queue: Queue) -> None:
        queue.offer("a", range(5))
        queue.record("a", 0, 1, {"ok": 1}, {})
        queue.forget("a")
        assert queue.client.keys("inkmill:job:*") == []
        assert queue.progress("a").chunks == 0

    def test_an_only_chunk_is_under_way_at_once(self, queue: Queue) -> None:
        queue.send_only("a", "high")
        assert queue.present() == {"a:0"}
        assert list(queue.in_flight("a")) == [0]
        assert queue.busy("a")

    def test_the_end_is_told_and_leaves_no_hint(self, queue: Queue) -> None:
        queue.send_only("a", "high")
        assert not queue.wait_end("a", 0.05)
        queue.end("a")
        queue.end("a")  # as often as one likes
        assert queue.wait_end("a", 0.05)
        assert queue.wait_end("a", 0.05)
        assert queue.hints("a") == []
        assert 0 < queue.client.ttl(names.ended("a")) <= 10

    def test_an_attempt_is_counted_once_however_often_it_is_sent(self, queue: Queue) -> None:
        assert [queue.begin("a", 0, "ant").number for _ in range(3)] == [1, 1, 1]
        assert queue.begin("a", 0, "bee").number == 2
        assert [queue.begin("a", 0, each).number for each in ("ant", "bee")] == [1, 2]
        for number in range(40):
            assert queue.begin("a", 0, f"{number:03d}").number == 3 + number
        assert len(queue.client.hget(names.tries("a"), "0") or b"") < 100

    def test_an_attempt_that_is_given_back_leaves_nothing(self, queue: Queue) -> None:
        assert [queue.begin("a", 0, each).number for each in ("ant", "bee")] == [1, 2]
        queue.give_back("a", 0, "ant")
        queue.give_back("a", 0, "ant")  # the answer was lost
        assert queue.begin("a", 0, "cat").number == 2
        queue.give_back("a", 1, "ant")  # others finished it meanwhile
        for each in ("bee", "cat"):
            queue.give_back("a", 0, each)
        assert queue.hints("a") == []

    def test_attempts_are_recalled_where_they_were_forgotten(self, queue: Queue) -> None:
        assert queue.begin("a", 1, "ant").number == 1
        queue.recall("a", {0: 3, 1: 5})
        assert [queue.begin("a", chunk, "bee").number for chunk in (0, 1)] == [4, 2]
        queue.recall("b", {})
        assert queue.hints("b") == []

    def test_an_attempt_learns_whether_the_rows_are_counted(self, queue: Queue) -> None:
        queue.record("a", 0, 10, {"ok": 10}, {})
        queue.complete("a", 0)
        assert queue.begin("a", 0, "ant") == (1, True)
        assert queue.begin("a", 1, "ant") == (1, False)
        queue.recount("a")
        assert queue.begin("a", 0, "bee") == (2, False)

    def test_workers_report_and_leave(self, queue: Queue) -> None:
        queue.report_worker("one", 3)
        queue.report_worker("two", 2)
        assert queue.slots() == 5
        queue.forget_worker("two")
        assert queue.workers() == {"one": 3}

    def test_speeds_are_blended_bounded_and_expire(self, queue: Queue) -> None:
        assert queue.speed("digits/digits") == 0
        queue.report_speeds({})
        assert not queue.client.exists(names.SPEEDS)
        queue.report_speeds({"digits/digits": 6000.0, "digits/abc": 20.0})
        queue.report_speeds({"digits/digits": 5000.0})
        assert queue.speed("digits/digits") == 5500
        assert queue.speed("digits/abc") == 20
        assert queue.client.ttl(names.SPEEDS) > 0
        for junk in (b"\xff", b"nan", b"inf", b"-5", b"1e300", b""):
            queue.client.hset(names.SPEEDS, "digits/digits", junk)
            assert queue.speed("digits/digits") == 0
        queue.report_speeds({"digits/digits": 5000.0})
        assert queue.speed("digits/digits") == 5000
        queue.client.hset(names.SPEEDS, mapping={str(number): 1 for number in range(1000)})
        queue.report_speeds({"digits/digits": 4000.0})
        assert queue.client.hlen(names.SPEEDS) == 1

    def test_one_sweep_in_an_interval(self, queue: Queue) -> None:
        assert queue.may_sweep(0.2)
        assert not queue.may_sweep(0.2)
        time.sleep(0.25)
        assert queue.may_sweep(0.2)

    def test_hints_expire(self, queue: Queue) -> None:
        queue.offer("a", range(5))
        queue.feed("a", "normal")
        queue.record("a", 0, 1, {"ok": 1}, {})
        keys = queue.client.keys("inkmill:job:a:*")
        assert len(keys) == len(queue.hints("a"))
        assert all(queue.client.ttl(key) > 0 for key in keys)
