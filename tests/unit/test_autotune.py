"""Which runtime and precision a host measures as the fastest, and what is kept of it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from inkmill.models import autotune, pretrained
from inkmill.models.autotune import OtherWork, Trial, Tuning, cache, contest, fastest
from inkmill.models.runtimes import protocol

#: These want the extras, which are not among the developers' tools (decision 8 says why).
with_extras = pytest.mark.skipif(
    len(protocol.runtimes()) < 3, reason="openvino, onnx and onnxruntime are not installed"
)


@pytest.mark.parametrize(
    ("trials", "taken"),
    [
        ({"float32": Trial((100,), 0), "bfloat16": Trial((200,), 0.01)}, "bfloat16"),
        ({"float32": Trial((100,), 0), "bfloat16": Trial((103,), 0.01)}, "float32"),
        ({"float32": Trial((100,), 0), "bfloat16": Trial((40,), 0.01)}, "float32"),
        (
            {"float32": Trial((100,), 0), "bfloat16": Trial((900,), 1, "2 changed")},
            "float32",
        ),
        ({"float32": Trial((0,), 1, "NaN"), "bfloat16": Trial((0,), 1, "NaN")}, "float32"),
        ({"float32": Trial((100,), 0), "openvino-float32": Trial((112,), 0)}, "openvino-float32"),
        ({"float32": Trial((100,), 0), "onnxruntime-float32": Trial((110,), 0)}, "float32"),
        ({"float32": Trial((100,), 0), "openvino-bfloat16": Trial((900,), 1, "no")}, "float32"),
        (
            {
                "float32": Trial((100,), 0),
                "bfloat16": Trial((200,), 0.01),
                "openvino-bfloat16": Trial((220,), 0.01),
                "onnxruntime-float32": Trial((150,), 0),
            },
            "bfloat16",
        ),
        (
            {
                "float32": Trial((100,), 0),
                "bfloat16": Trial((200,), 0.01),
                "openvino-float32": Trial((230,), 0),
                "openvino-bfloat16": Trial((400,), 0.01),
            },
            "openvino-bfloat16",
        ),
    ],
)
def test_the_fastest_that_is_allowed_is_taken(trials: dict[str, Trial], taken: str) -> None:
    assert fastest(trials) == taken


def test_a_busy_moment_decides_nothing() -> None:
    """Neighbours slow down both sides of a round, and a burst hits one side of one."""
    slow = (1.0, 0.4, 0.4, 0.9, 1.0)
    reference = Trial(tuple(100 * each for each in slow), 0)
    same = Trial((*(103 * each for each in slow[:-1]), 380.0), 0)
    faster = Trial((*(130 * each for each in slow[:-1]), 40.0), 0)
    assert fastest({"float32": reference, "openvino-float32": same}) == "float32"
    assert fastest({"float32": reference, "openvino-float32": faster}) == "openvino-float32"
    assert faster.times(reference)[0] == pytest.approx(1.3)
    # Faster in the median, but not in three rounds of four: that is noise.
    unsure = Trial((120.0, 48.0, 48.0, 80.0, 95.0), 0)
    assert fastest({"float32": reference, "bfloat16": unsure}) == "float32"


def test_own_work_is_not_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([(1000.0, 400.0, 5.0), (1010.0, 404.0, 7.0), (1010.0, 404.0, 7.0)])
    monkeypatch.setattr(OtherWork, "_now", lambda _: next(seen))
    work = OtherWork()
    # 10 seconds of all processors: 4 idle, 2 our own.
    assert work.share() == pytest.approx(0.4)
    assert work.share() == 0.0


def test_what_was_found_is_shown_and_only_on_its_host(tmp_path: Path) -> None:
    folder = tmp_path / "precision"
    folder.mkdir()
    trials = {"bfloat16": Trial((7000,), 0.006)}
    here = Tuning("bfloat16", "lenet", autotune.host(), 1, 12, trials, protocol.runtimes())
    (folder / "a.json").write_bytes(here.encode())
    elsewhere = dataclasses.replace(here, host="another processor, 64 cores")
    (folder / "b.json").write_bytes(elsewhere.encode())
    (folder / "c.json").write_text("{half a fi")
    before = dataclasses.replace(here, runtimes={"tensorflow": "2.0"})
    (folder / "d.json").write_bytes(before.encode())
    on_gpu = dataclasses.replace(here, host=autotune.host("Some GPU"))
    (folder / "e.json").write_bytes(on_gpu.encode())
    assert autotune.tunings(tmp_path) == [here, on_gpu]
    assert f"runs in bfloat16 on Some GPU beside {autotune.host()}: bfloat16 7,000" in str(on_gpu)
    assert "images/s (confidence" in str(on_gpu)
    assert "lenet with 12 classes runs in bfloat16" in str(here)
    assert "7,000 images/s a core" in str(here)
    assert "others used 0% of the processors" in str(here)
    busy = dataclasses.replace(here, load=0.6, trials={"float32": Trial((100, 90), 0), **trials})
    busy = dataclasses.replace(
        busy, trials={**busy.trials, "bfloat16": Trial((200.0, 198.0), 0.006)}
    )
    assert "199 images/s a core, 2.10 ± 0.05 times float32" in str(busy)
    assert "measures again when the host is quiet" in str(busy)


def test_a_measurement_that_could_not_compute_at_all_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a GPU whose memory was full for a moment."""
    files, refusals = pretrained.load(), ["out of memory", ""]

    def measure(*_: object, device: str) -> Tuning:
        trials = {
            "float32": Trial((1000.0,), 0, refusals.pop(0)),
            "float16": Trial((9000.0,), 0.001, "out of memory"),
        }
        return Tuning("float32", "lenet", autotune.host(device), 1, 12, trials)

    monkeypatch.setattr(cache, "measure", measure)
    for left in (1, 0, 0):
        given = (files.manifest, files.weights, files.golden, tmp_path, 1)
        assert autotune.precision_for(*given, device="Some GPU") == "float32"
        assert len(refusals) == left


@with_extras
def test_doctor_shows_the_runtimes_and_what_was_found(tmp_path: Path) -> None:
    from inkmill.cli.commands.doctor import _precision, _versions
    from inkmill.settings import Settings

    trials = {"float32": Trial((3900,), 0), "openvino-bfloat16": Trial((9000,), 0.002)}
    found = Tuning(
        "openvino-bfloat16", "lenet", autotune.host(), 1, 12, trials, protocol.runtimes()
    )
    (tmp_path / "precision").mkdir()
    (tmp_path / "precision" / "a.json").write_bytes(found.encode())
    (shown,) = _precision(Settings(cache_dir=tmp_path))
    assert "runs in openvino-bfloat16 on" in shown.seen
    assert "9,000 images/s a core" in shown.seen
    versions = next(_versions()).seen
    for name in ("openvino", "onnxruntime"):
        assert f"{name} {importlib.metadata.version(name)}" in versions


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """This host as it would be without some distributions."""

    def version(name: str) -> str:
        if name in missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(protocol, "version", version)


@with_extras
def test_another_runtime_or_version_measures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = pretrained.load().manifest
    keys = {cache._key(manifest, 1), cache._key(manifest, 2)}
    without(monkeypatch, "openvino")
    keys.add(cache._key(manifest, 1))
    without(monkeypatch, "openvino", "onnxruntime")
    keys.add(cache._key(manifest, 1))
    monkeypatch.setattr(protocol, "version", lambda _: "1.0")
    keys.add(cache._key(manifest, 1))
    assert len(keys) == 5


def test_a_verdict_without_todays_precisions_is_no_verdict(tmp_path: Path) -> None:
    here = Tuning("float32", "lenet", autotune.host(), 1, 12, {}, protocol.runtimes())
    (tmp_path / "precision").mkdir()
    path = tmp_path / "precision" / "a.json"
    path.write_bytes(here.encode())
    assert (cache._stored(path), autotune.tunings(tmp_path)) == (here, [here])
    path.write_bytes(here.encode().replace(b'"schema": 3', b'"schema": 2'))
    assert (cache._stored(path), autotune.tunings(tmp_path)) == (None, [])


@with_extras
@pytest.mark.tensorflow
def test_only_what_is_installed_takes_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from inkmill.models.runtimes import openvino

    for able in (True, False):
        monkeypatch.setattr(openvino, "has_bfloat16", lambda able=able: able)
        with_extras = protocol.available()
        assert {"float32", "bfloat16", "openvino-float32", "onnxruntime-float32"} <= {*with_extras}
        assert "openvino-int8" in with_extras
        assert ("openvino-bfloat16" in with_extras) is able
    without(monkeypatch, "openvino")
    assert not [name for name in protocol.available() if name.startswith("openvino")]
    assert "onnxruntime-float32" in protocol.available()
    # Both read the network as an ONNX graph.
    without(monkeypatch, "onnx")
    assert {*protocol.available()} <= {"float32", "bfloat16", "float16"}
    assert not caplog.records


@with_extras
@pytest.mark.tensorflow
def test_a_runtime_that_breaks_is_an_entry_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime
    import openvino

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Exception from core.cpp:12:\nno such instruction\n")

    monkeypatch.setattr(openvino.Core, "compile_model", broken)
    monkeypatch.setattr(onnxruntime, "InferenceSession", broken)
    monkeypatch.setattr(contest, "_SECONDS", 0.001)
    files = pretrained.load()
    tuning = autotune.measure(
        files.manifest,
        *(files.weights, files.golden, 1),
        ("float32", "openvino-float32", "onnxruntime-float32"),
    )
    assert tuning.precision == "float32"
    for name in ("openvino-float32", "onnxruntime-float32"):
        assert "no such instruction" in tuning.trials[name].refused
        assert tuning.trials[name].rate == 0
    assert "openvino-float32 OpenVINO cannot compute here: no such instruction" in str(tuning)
    assert autotune.Tuning.decode(tuning.encode(), "tuning") == tuning


@with_extras
@pytest.mark.tensorflow
def test_whole_numbers_are_refused_where_readings_change(monkeypatch: pytest.MonkeyPatch) -> None:
    from inkmill.models.runtimes import whole_numbers

    assert "openvino-int8" in protocol.available()
    rates = {"openvino-int8": 3.0}
    monkeypatch.setattr(contest, "_rate", lambda predictor: rates.get(predictor.precision, 1.0))
    files = pretrained.load()
    given = (files.manifest, files.weights, files.golden, 1, ("float32", "openvino-int8"))
    tuning = autotune.measure(*given)
    assert tuning.precision == "openvino-int8"
    assert "with 14 classes runs in openvino-int8 on" in str(tuning)
    # Weights of one bit and a half, where it should be seven.
    monkeypatch.setattr(whole_numbers, "LARGEST_WEIGHT", 1)
    tuning = autotune.measure(*given)
    assert tuning.precision == "float32"
    assert "it must not serve here" in tuning.trials["openvino-int8"].refused
