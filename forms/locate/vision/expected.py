"""Where marks are expected: pages of a form that one feeder scans lie at nearly the same place.

So the places at which the marks of the last pages were found are looked at first. What is found
there is a candidate like any other: it is measured in the same way, and the page that it makes is
refined and verified like any other proposal. Where a mark is not in its place, or something else
could be taken for it, the whole page is searched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from inkmill.forms.locate.vision.marks import Candidates, Window, find_candidates
from inkmill.forms.locate.vision.overview import Overview, Points
from inkmill.template.registration import Marks

#: How far a mark may be from where it was on an earlier page, as a part of the picture's longer
#: side: 6 mm of A4.
_REACH = 0.02
#: So many different placements are remembered for a form's marks, and so many forms.
_PLACEMENTS, _FORMS = 3, 64

#: For the marks of a form, where they were found, float64 (marks, 2) in parts of the picture's
#: longer side: the last placement first.
_SEEN: dict[tuple[str, Marks], tuple[Points, ...]] = {}


def remember(form: str, marks: Marks, overview: Overview, found_at: Points) -> None:
    """The page of the form with this hash that was located last has its marks at these pixels."""
    if len(found_at) != len(marks.at):
        return
    key, here = (form, marks), found_at / max(overview.grey.shape)
    others = [each for each in _SEEN.pop(key, ()) if np.abs(each - here).max() > _REACH / 2]
    while len(_SEEN) >= _FORMS:
        _SEEN.pop(next(iter(_SEEN)), None)
    _SEEN[key] = (here, *others)[:_PLACEMENTS]


def forget() -> None:
    """Expect nothing any more."""
    _SEEN.clear()


def where_expected(
    form: str, marks: Marks, overview: Overview, sizes: tuple[float, float]
) -> Iterator[Candidates]:
    """The candidates at places where all marks were seen before, one for each mark, in
    their order.

    ``sizes`` are the smallest and the largest side of a mark, in overview pixels.
    """
    longest = max(overview.grey.shape)
    for placement in _SEEN.get((form, marks), ()):
        places = placement * longest
        if (places > overview.grey.shape[::-1]).any():
            continue
        windows = [_window(place, _REACH * longest + sizes[1]) for place in places]
        found = find_candidates(overview, marks.shape, *sizes, windows=windows)
        near = np.abs(found.centres[None] - places[:, None]).max(axis=2) <= _REACH * longest
        # Two in one place: a speck beside a mark may be taken for it, which is for the search.
        if (near.sum(axis=1) == 1).all() and near.any(axis=0).sum() == len(places):
            yield found.only(near.argmax(axis=1))


def _window(place: Points, half: float) -> Window:
    """The part of a picture around a place."""
    (left, top), (right, bottom) = np.maximum(np.rint([place - half, place + half]), 0).astype(int)
    return slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)
