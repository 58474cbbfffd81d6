"""Models on real servers: which one serves, and when another takes its place."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from inkmill.backends.store import S3Store
from inkmill.cli.servers import publish_shipped
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import results, submit, wait
from inkmill.settings import Settings
from tests.integration import images


def test_a_new_model_comes_in_while_a_job_runs_and_a_bad_one_never_serves(
    tmp_path: Path,
    settings: Settings,
    store: S3Store,
    start_workers: Callable[..., object],
) -> None:
    registry = Registry(store, settings.model)
    model = registry.publish(load())
    start_workers()
    folder = images.digits(tmp_path / "scans", 40)

    def read(policy: str, name: str) -> set[str]:
        job = submit(folder, name=name, model=policy, chunk_size=10, settings=settings)
        wait(job, timeout=60, settings=settings)
        rows = list(results(job, settings=settings))
        assert [row.digit for row in rows] == [str(n % 10) for n in range(40)]
        return {row.model for row in rows}

    # The same network under another version, as a retrained one would be.
    files = load()
    newer = dataclasses.replace(
        files, manifest=dataclasses.replace(files.manifest, created="2030-01-01T00:00:00+00:00")
    )
    second = registry.publish(newer)
    assert second != model
    began = time.monotonic()
    while read("follow", f"follow-{int(time.monotonic() * 1000)}") != {second}:
        assert time.monotonic() - began < 15
    assert read(model, "pinned-to-the-old") == {model}

    # A version whose weights do not make its golden readings is published by a broken tool.
    broken = dataclasses.replace(newer.manifest, created="2031", temperature=3.0)
    third = registry.publish(dataclasses.replace(newer, manifest=broken))
    time.sleep(3 * settings.model_poll_interval)
    assert third != second
    assert read("follow", "after-the-broken-one") == {second}


def test_the_demo_takes_the_model_of_this_version(settings: Settings, store: S3Store) -> None:
    """Its store may hold what an earlier version shipped; people's own stores keep theirs."""
    shipped = load()
    manifest = dataclasses.replace(shipped.manifest, created="2020-01-01T00:00:00+00:00")
    registry = Registry(store, settings.model)
    earlier = registry.publish(dataclasses.replace(shipped, manifest=manifest))
    assert earlier != shipped.manifest.version
    assert publish_shipped(settings) == earlier
    assert publish_shipped(settings, replace=True) == shipped.manifest.version
    assert publish_shipped(settings) == shipped.manifest.version
