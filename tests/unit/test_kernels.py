"""Compiled kernels find what NumPy and OpenCV find, bit by bit."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.forms import kernels
from inkmill.forms.cut.cells import Cuts, cut_cells, usual_ink
from inkmill.forms.cut.crops import normalise_cells
from inkmill.forms.cut.crossing import crossed_out
from inkmill.forms.cut.inks import find_ink
from inkmill.forms.cut.streaks import Streaks
from inkmill.forms.geometry import apply
from inkmill.forms.locate.registration import locate
from inkmill.forms.locate.vision.evidence import Outlines, glanced_at, hits_of
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.locate.vision.snapping import _along, _met
from inkmill.forms.reader import cut_page
from inkmill.settings import Settings
from inkmill.worker.engine.main import Engine
from inkmill.worker.link import Link, SharedPosition
from inkmill.worker.pool.handle import engine_config
from tests.unit.sheets import load, page_of, scanned

pytestmark = pytest.mark.usefixtures("with_kernels")


#: OpenCV rounds by how many pixels a processor takes at once; kernels follow it on this kind.
EXACT = platform.machine() in ("x86_64", "AMD64") and cv2.checkHardwareSupport(11)  # AVX2


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both are the same; on other processors, nearly."""
    if EXACT:
        return np.array_equal(one, other)
    return one.shape == other.shape and float(np.mean(one != other)) < 0.01


def both(work: Callable[[], Any]) -> tuple[Any, Any]:
    """What comes of it with kernels and without."""
    compiled = work()
    kernels.disable()
    plain = work()
    kernels.enable()
    return compiled, plain


def cells(size: tuple[int, int], seed: int, count: int = 40) -> np.ndarray:
    """A page with a row of boxes in which all sorts of things are drawn, some across the lines."""
    rng = np.random.default_rng(seed)
    width, height = size
    page = np.full((height + 60, count * width + 60), 245, np.uint8)
    for left in range(30, count * width + 30, width):
        cv2.rectangle(page, (left, 30), (left + width, 30 + height), 60, int(rng.integers(1, 3)))
        level, thick = int(rng.integers(10, 235)), int(rng.integers(1, 8))
        kind = rng.integers(7)
        for _ in range(int(rng.integers(1, 4)) if kind < 5 else 0):
            ends = rng.integers((left - 9, 20), (left + width + 9, height + 40), (2, 2)).tolist()
            cv2.line(page, *ends, level, thick)
        if kind == 5:  # specks, together perhaps a stroke
            for x, y in rng.integers((left, 30), (left + width, 30 + height), (25, 2)).tolist():
                cv2.circle(page, (x, y), 1, level, -1)
        if kind == 6 and seed % 2:
            page[32 : 28 + height, left + 3 : left + width - 2] = 255 - level // 2
    noise = rng.normal(0, (seed % 3) * 6, page.shape)
    return np.clip(page + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(60, 80), (56, 40), (31, 76), (9, 7)])
def test_ink_and_crops_of_cells(size: tuple[int, int], seed: int) -> None:
    page = cells(size, seed)
    boxes = [(30.0 + x * size[0], 30.0, float(size[0]), float(size[1])) for x in range(40)]

    def work() -> list[np.ndarray]:
        cuts = cut_cells(page, np.eye(3), boxes, size, lined=seed != 1)
        ink = usual_ink([cuts])
        guide = None if seed < 3 else np.full_like(cuts.dark[0], 12 * (seed - 3))
        found = find_ink(cuts, ink, guide)
        return [cuts.dark, *astuple(found), *normalise_cells(found.grey), np.array(ink)]

    for compiled, plain in zip(*both(work), strict=True):
        assert agree(compiled, plain)


@pytest.mark.parametrize("turned", [0.0, 0.4])
@pytest.mark.parametrize("perspective", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("size", [(60, 80), (31, 33), (180, 9), (1, 1)])
@pytest.mark.parametrize("shape", [(150, 210), (2, 2), (1, 5), (5, 1)])
def test_cells_beyond_the_page_and_in_perspective(
    shape: tuple[int, int], size: tuple[int, int], perspective: float, turned: float
) -> None:
    page = np.random.default_rng(size[0]).integers(0, 256, shape, dtype=np.uint8)
    cosine, sine = np.cos(turned), np.sin(turned)
    transform = np.array([[cosine, -sine, 3.3], [sine, cosine, 2.7], [perspective, 0, 1]])
    # With 1e-2, cells at the left would be turned over and lie on both sides of the page.
    places = np.linspace(-95, 250, 12)
    boxes = [(x, y, 47.0, 64.0) for x in places for y in places[::3]]
    compiled, plain = both(lambda: cut_cells(page, transform, boxes, size).dark)
    assert agree(compiled, plain)


@pytest.mark.parametrize("size", [(110, 90), (70, 97), (50, 50), (30, 30)])
def test_inks_of_all_sizes(size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    sheet = np.full((120, height, width), 255, np.uint8)
    for cell in sheet:
        tall, wide = rng.integers(3, (height - 7, width - 7)).tolist()
        if rng.random() < 0.3:  # whole multiples of MNIST's box
            tall, wide = (min(side - 8, 20 * int(rng.integers(1, 5))) for side in size)
        top, left = int(rng.integers(3, height - 3 - tall)), int(rng.integers(3, width - 3 - wide))
        inside = cell[top : top + tall, left : left + wide]
        ring = np.ones(inside.shape, np.bool_)
        ring[3:-3, 3:-3] = rng.random() < 0.2
        inside[ring] = rng.integers(0, 120, np.count_nonzero(ring))
    compiled, plain = both(lambda: normalise_cells(sheet))
    assert not plain[1].all()
    for one, other in zip(compiled, plain, strict=True):
        assert agree(one, other)


@pytest.mark.parametrize("size", [(100, 77), (64, 64), (40, 25), (9, 12)])
def test_crosses(size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(height)
    masks = np.zeros((300, height, width), np.uint8)
    for mask in masks:
        # Two strokes from near a corner to near the other one, which is a cross now and then.
        corners = np.array([[0, 0], [1, 1], [0, 1], [1, 0]]) + rng.normal(0, 0.08, (4, 2))
        ends = np.rint(corners * (width - 1, height - 1)).astype(int).tolist()
        thick = int(rng.integers(1, 2 + height // 12))
        cv2.line(mask, ends[0], ends[1], 1, thick)
        cv2.line(mask, ends[2], ends[3], 1, thick)
    boxes = np.array([cv2.boundingRect(mask) for mask in masks], np.int64)
    boxes[:, 2:] += boxes[:, :2]
    compiled, plain = both(lambda: crossed_out(masks.view(np.bool_), boxes, (width, height)))
    assert 0 < np.count_nonzero(plain) < len(plain)
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize("noise", [0, 4, 15])
@pytest.mark.parametrize("shape", [(1754, 1240), (300, 200), (161, 160), (7, 9), (1, 30), (1, 1)])
def test_streaks(shape: tuple[int, int], noise: int) -> None:
    rng = np.random.default_rng(sum(shape) + noise)
    page = np.clip(rng.normal(235, noise, shape), 0, 255).astype(np.uint8)
    for _ in range(12):
        place, thick = int(rng.integers(max(shape))), int(rng.integers(1, 2 + max(shape) // 100))
        along = page if rng.random() < 0.5 else page.T
        part = along[: int(len(along) * rng.uniform(0.6, 1.2)), place : place + thick]
        part[:] = rng.integers(100, 225)

    def work() -> list[np.ndarray]:
        found = [Streaks.of(each) for each in (page, page.T, 255 - page)]
        return [lines for each in found for lines in (each.columns, each.rows)]

    for compiled, plain in zip(*both(work), strict=True):
        assert np.array_equal(compiled, plain)


@pytest.mark.parametrize(
    ("form", "faults"),
    [
        ("register", ("skew", "jpeg")),
        ("register", ("bilevel", "streaks")),
        ("tally", ("faint", "light", "watermark")),
        ("tally", ("perspective", "watermark")),
    ],
)
@pytest.mark.parametrize("severity", ["light", "moderate"])
def test_whole_pages(form: str, faults: tuple[str, ...], severity: str) -> None:
    template = load(form)
    page = page_of(scanned(template, faults, severity, seed=3)[0])
    compiled, plain = both(lambda: cut_page(page, template))
    assert agree(compiled.crops, plain.crops)
    assert agree(compiled.empty, plain.empty)
    assert agree(compiled.crossed, plain.crossed)
    assert compiled.filled == plain.filled


@pytest.mark.parametrize("noise", [2, 40])
@pytest.mark.parametrize(
    ("size", "taken"),
    [((877, 620), 2), ((1240, 877), 1), ((333, 500), 2), ((60, 41), 1), ((5, 4), 1)],
)
def test_overviews(size: tuple[int, int], taken: int, noise: int) -> None:
    rng = np.random.default_rng(sum(size) + noise)
    light = np.linspace(250, 60 + noise, size[1])[None] + rng.normal(0, noise, size)
    page = np.clip(light, 0, 255).astype(np.uint8)
    for _ in range(40):
        ends = rng.integers((0, 0), size[::-1], (2, 2)).tolist()
        cv2.line(page, *ends, int(rng.integers(0, 120)), int(rng.integers(1, 4)))

    def work() -> list[Any]:
        found = Overview.of(page, taken)
        return [found.grey, found.noise, found.lines, found.beside_line, found.near_line]

    for compiled, plain in zip(*both(work), strict=True):
        assert np.array_equal(compiled, plain)


def test_places_between_the_pixels_of_lines_and_outside_of_them() -> None:
    rng = np.random.default_rng(7)
    overview = Overview(rng.integers(0, 256, (90, 70), dtype=np.uint8), 1.0, 1.0)
    angles, places = rng.uniform(0, 7, 700), rng.uniform(-25, 115, (700, 2)).astype(np.float32)
    places[:3] = [[np.nan, 5], [5, np.inf], [1e9, 1e9]]
    ways = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    shifts = np.arange(-20, 21, dtype=np.float64) * 0.8
    compiled, plain = both(lambda: _met(overview, places, ways, shifts, 7))
    assert np.array_equal(compiled, plain)
    assert 0 < plain.min(axis=1).max() < plain.max()


#: An ordinary page, one in perspective, one whose vanishing point lies among the places, and none.
TRANSFORMS = (
    [[3.1, 0.02, 5.0], [-0.03, 2.9, 4.0], [0.0, 0.0, 1.0]],
    [[3.1, 0.2, -5.0], [-0.3, 2.9, 4.0], [2e-3, -1e-3, 1.0]],
    [[3.1, 0.2, 5.0], [-0.3, 2.9, 4.0], [-0.05, 0.0, 1.0]],
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
)


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_places_mapped_and_looked_up(transform: list[list[float]]) -> None:
    rng = np.random.default_rng(5)
    places = rng.uniform(-10, 60, (900, 2))
    places[:3] = np.array([[np.nan, 5], [5, np.inf], [20, 0]])
    matrix, picture = np.array(transform), rng.integers(0, 2, (150, 140), dtype=np.uint8)
    turned = np.asfortranarray(places)[::-1]

    def work() -> list[Any]:
        here = [*_along(matrix, places, 0), *_along(matrix, turned, 1)]
        return [
            apply(matrix, places),
            apply(matrix, turned),
            hits_of(places, matrix, picture),
            *here,
        ]

    for compiled, plain in zip(*both(work), strict=True):
        assert compiled.dtype == plain.dtype
        assert np.array_equal(compiled, plain, equal_nan=True)


@pytest.mark.parametrize("reach", [0, 1, 2, 5])
def test_a_first_look_around_places(reach: int) -> None:
    form = load("tally")
    page = page_of(scanned(form)[0])
    overview, outlines = Overview.of(page.grey), Outlines.of(form, 1)
    there = np.linalg.inv(overview.to_page) @ locate(page, form, 1).transform
    for away in (0.0, 0.4, 300.0):
        moved = np.array([[1.0, 0, away], [0, 1, away], [0, 0, 1]]) @ there
        compiled, plain = both(partial(glanced_at, outlines, moved, overview, reach))
        assert compiled == plain
    assert glanced_at(outlines, there, overview, 2) > 0.65


def test_no_pixel_is_no_error() -> None:
    none = Cuts(np.zeros((0, 40, 30), np.uint8), (5, 5, 25, 35))
    assert len(find_ink(none, 100.0).grey) == 0
    assert len(normalise_cells(none.dark)[0]) == 0


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    kernels.disable()
    (tmp_path / "cache").write_bytes(b"")  # a file where the folder should be
    assert kernels.enable(tmp_path / "cache")


def test_an_engine_compiles_for_many_pages_or_takes_what_is_compiled(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(cache: Path) -> Engine:
        _, theirs = map(Link, socket.socketpair())
        return Engine(theirs, SharedPosition(), engine_config(Settings(cache_dir=cache), 1))

    kernels.disable()
    monkeypatch.setattr("inkmill.worker.engine.main._WORTH_COMPILING", 8)
    asked: list[Path] = []
    with monkeypatch.context() as patched:
        patched.setattr(kernels, "enable", asked.append)
        first = engine(tmp_path)
        first._use_kernels(8)
        assert asked == []
        first._use_kernels(1)
        assert asked == [tmp_path / "kernels"]
    engine(cache_folder)._use_kernels(1)
    assert kernels.enabled()


def test_kernels_that_do_not_compile_stop_no_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_module(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.4 or less")

    kernels.disable()
    monkeypatch.setattr("importlib.import_module", no_module)
    assert not kernels.enable()
    assert not kernels.enabled()
    assert "NumPy 2.4 or less" in caplog.text
