"""Bent paper: moves that neighbours share are believed; a field off its lines is never accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from inkmill.errors import ItemError
from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import Located, locate, locate_by_hand
from inkmill.forms.reader import cut_page
from inkmill.forms.synth.bending import bent_page
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form
from tests.unit.sheets import load, off_mm, scanned

DPI = 150
CORNERS = [[12, 12], [198, 12], [198, 285], [12, 285]]
MARKS = f"marks: {{shape: square, size: 5, at: {CORNERS}}}"


def field(name: str, x: float, y: float, count: int = 3) -> str:
    cells = f"{{origin: [{x}, {y}], size: [7, 9], pitch: [7, 0], count: {count}}}"
    return f"  - {{name: {name}, type: code, cells: {cells}}}"


#: A column of rows with gaps, and a table whose rows touch.
COLUMN = [(f"c{row}", 30.0, 40.0 + 18 * row, 3) for row in range(8)]
TABLE = [(f"t{row}", 110.0, 60.0 + 9 * row, 6) for row in range(12)]
PLACES = {name: (x, y, count) for name, x, y, count in (*COLUMN, *TABLE)}


def parsed(rows: Sequence[str]) -> Form:
    head = (
        f"inkmill_form: 1\nname: bent\npage: {{width: 210, height: 297}}\nregistration:\n  {MARKS}"
    )
    return Form.parse("\n".join([head, "fields:", *rows]))


def form_of(places: dict[str, tuple[float, float, int]]) -> Form:
    return parsed([field(name, *place) for name, place in places.items()])


FORM = form_of(PLACES)


def printed(moved: dict[str, tuple[float, float]]) -> Page:
    """A page on which the named fields are printed elsewhere than the template says."""
    places = {
        name: (x + moved.get(name, (0, 0))[0], y + moved.get(name, (0, 0))[1], count)
        for name, (x, y, count) in PLACES.items()
    }
    return Page(draw_page(form_of(places), 1, DPI, labels=False))


def lost(located: Located) -> set[str]:
    return {each.name for n, each in enumerate(FORM.page_fields(1)) if not located.sees(n)}


def off(located: Located, moved: dict[str, tuple[float, float]]) -> dict[str, float]:
    """How far, in mm, the worst cell of each field is from where it is printed."""
    place: Matrix = template_to_pixels(FORM, DPI)
    found = {}
    for number, each in enumerate(FORM.page_fields(1)):
        boxes = each.cells.rectangles()
        true = np.vstack([corners(box) for box in boxes]) + moved.get(each.name, (0.0, 0.0))
        seen = np.vstack([corners(box) for box in located.moved(number, boxes)])
        away = apply(located.transform, seen) - apply(place, true)
        found[each.name] = float(np.linalg.norm(away, axis=1).max()) * 25.4 / DPI
    return found


def of(names: Sequence[str], dx: float, dy: float) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(names, (dx, dy))


@pytest.mark.parametrize("move", [(1.0, 0.8), (1.7, 1.3), (-1.5, 2.0), (0.0, 2.5)])
@pytest.mark.parametrize("block", ["c", "t"])
def test_a_move_that_neighbours_share_is_believed(block: str, move: tuple[float, float]) -> None:
    moved = of([name for name in PLACES if name.startswith(block)], *move)
    located = locate(printed(moved), FORM)
    assert lost(located) == set()
    assert max(off(located, moved).values()) < 0.5
    assert located.residual < 0.3


@pytest.mark.parametrize(
    "move",
    [(7.0, 0.0), (-7.0, 0.0), (3.5, 0.0), (0.0, 4.5), (0.0, 9.0), (0.0, -18.0), (2.0, 2.0)],
    ids=str,
)
@pytest.mark.parametrize("name", ["c0", "c4", "c7"])
def test_a_field_off_its_lines_is_not_accepted(name: str, move: tuple[float, float]) -> None:
    moved = {name: move}
    located = locate(printed(moved), FORM)
    assert name in lost(located)
    others = {each: far for each, far in off(located, moved).items() if each != name}
    assert max(others.values()) < 0.5
    assert len(lost(located)) <= 2, "at most the one that it is printed over"


@pytest.mark.parametrize("stretch", [0.013, 0.016, -0.016, 0.03])
def test_a_field_that_is_stretched_alone_is_followed_or_not_accepted(stretch: float) -> None:
    """Its middle is in place, its ends are not, and most of its lines are met."""
    rows = [field(f"r{row}", 50.0, 40.0 + 20 * row, 10) for row in range(9)]
    form, wide = parsed(rows), 7 * (1 + stretch)
    rows[4] = rows[4].replace("[50.0", f"[{50 - 35 * stretch}").replace("[7", f"[{wide}")
    stretched = parsed(rows)
    located = locate(Page(draw_page(stretched, 1, DPI, labels=False)), form)
    boxes = stretched.fields[4].cells.rectangles()
    true = apply(template_to_pixels(form, DPI), np.vstack([corners(box) for box in boxes]))
    moved = located.moved(4, form.fields[4].cells.rectangles())
    seen = apply(located.transform, np.vstack([corners(box) for box in moved]))
    assert not located.sees(4) or np.linalg.norm(seen - true, axis=1).max() < 0.5 * DPI / 25.4
    assert located.lost <= {4}


@pytest.mark.parametrize("move", [(0.0, 9.0), (0.0, -9.0), (7.0, 0.0), (-7.0, 0.0)], ids=str)
def test_a_table_moved_by_a_row_or_column_is_not_read_as_its_neighbours(
    move: tuple[float, float],
) -> None:
    table = [name for name, *_ in TABLE]
    located = locate(printed(of(table, *move)), FORM)
    assert lost(located) >= set(table)
    assert not lost(located) & {name for name, *_ in COLUMN}


@pytest.mark.parametrize("cell", [0, 2])
def test_a_covered_cell_is_noticed(cell: int) -> None:
    page = printed({})
    x, y, _ = PLACES["c3"]
    sticker = np.array([[x + 7 * cell - 1, y - 1], [x + 7 * cell + 8, y + 10]])
    (left, top), (right, bottom) = apply(template_to_pixels(FORM, DPI), sticker).astype(int)
    page.grey[top:bottom, left:right] = 235
    assert lost(locate(page, FORM)) == {"c3"}


@pytest.mark.parametrize("name", ["tally", "register", "strip"])
@pytest.mark.parametrize("seed", range(4))
def test_paper_bent_by_three_millimetres(name: str, seed: int) -> None:
    form = load(name)
    scan, _ = scanned(form, seed=seed)
    bent = bent_page(scan, 3.0, np.random.default_rng(seed))
    located = locate(Page(bent.grey), form)
    fields = form.page_fields(1)
    assert sum(not located.sees(number) for number in range(len(fields))) <= 1
    for number, each in enumerate(fields):
        boxes = each.cells.rectangles()
        if not located.sees(number) or each.type == "image":
            continue
        true = bent.places(np.vstack([corners(box) for box in boxes]))
        seen = np.vstack([corners(box) for box in located.moved(number, boxes)])
        away = np.linalg.norm(apply(located.transform, seen) - true, axis=1)
        assert away.max() * 25.4 / scan.dpi < 0.5, each.name


def test_a_bent_page_is_cut_where_its_boxes_are() -> None:
    moved = of([name for name in PLACES if name.startswith("t")], 1.7, 1.3)
    page = printed(moved)
    cells = cut_page(page, FORM)
    left, top, right, bottom = cells.boxes["t5"]
    x, y, count = PLACES["t5"]
    true = apply(
        template_to_pixels(FORM, DPI),
        np.array([[x + 1.7, y + 1.3], [x + 1.7 + 7 * count, y + 1.3 + 9]]),
    )
    assert np.abs(np.array([[left, top], [right, bottom]]) - true).max() < 3
    assert cells.empty.all()


def test_corners_given_by_hand_accept_no_field_off_its_lines() -> None:
    page = printed({})
    right = apply(
        template_to_pixels(FORM, DPI), np.array([[12.0, 12], [198, 12], [198, 285], [12, 285]])
    )
    located = locate_by_hand(page, FORM, 1, [tuple(each) for each in right.tolist()])
    assert lost(located) == set()
    # Corners of something else: what is accepted lies on its own lines even so.
    wrong = right + np.array([[60.0, 40], [-70, 55], [-30, -80], [45, -35]])
    located = locate_by_hand(page, FORM, 1, [tuple(each) for each in wrong.tolist()])
    accepted = {name: far for name, far in off(located, {}).items() if name not in lost(located)}
    assert all(far < 1.0 for far in accepted.values()), "of cells of 7 x 9 mm"


def test_another_form_is_not_bent_until_it_fits() -> None:
    for mine in ("tally", "register", "strip"):
        for other in ("tally", "register", "strip"):
            if mine == other:
                continue
            scan, _ = scanned(load(other), seed=3)
            bent = bent_page(scan, 3.0, np.random.default_rng(3))
            with pytest.raises(ItemError):
                locate(Page(bent.grey), load(mine))


def test_a_flat_page_is_not_bent() -> None:
    form = load("register")
    scan, _ = scanned(form, ("skew",))
    located = locate(Page(scan.grey), form)
    assert located.bend is None
    assert not located.lost
    assert off_mm(form, located, scan.transform) < 0.3
