"""Which template, and which of its pages, a scan shows: by its page code, else by trying them.

A page code decides if one is read. Without one, every template is tried as if it were the only
one, and the clearly best fit is chosen; if two fit equally well, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.intake import Page
from inkmill.forms.locate.pagecode import find_codes, fits
from inkmill.forms.locate.registration import Located, locate
from inkmill.template.form import Form
from inkmill.template.templates import Templates, code_values

#: The best template must lead any other by this much (see `Located.seen`).
_LEAD = 0.1
#: At most this many pages are tried by their boxes alone, which takes about a second each.
_MOST_BY_ALL = 16
#: Faults of a page whatever its form; after the first two no other template need be tried.
_SO_SAY_ALL = (Code.BLANK_PAGE, Code.WRONG_SIZE)
_ANY_FORM = (*_SO_SAY_ALL, Code.FAINT)
#: A message gives at most this many reasons of single templates.
_SHOWN = 3


@dataclass(frozen=True)
class Side:
    """One page of one template; ``value`` is the content of its page code, if it has one."""

    form: Form
    number: int
    value: str = ""

    @property
    def words(self) -> str:
        many = self.form.page_count > 1
        return f"{self.form.name}, page {self.number}" if many else self.form.name


@dataclass(frozen=True)
class ChosenSide:
    """The chosen page; ``located`` if it had to be located in order to be chosen."""

    side: Side
    located: Located | None = None


def choose(page: Page, templates: Templates, position: int) -> ChosenSide:
    """The template and its page that a scan shows; ``position`` is its place in its file, from 1.

    Raises ItemError WRONG_FORM for a page code that no template has, UNREGISTERED if two templates
    fit equally well, and the reasons of the trials if none fits.
    """
    sides = [
        Side(form, number, code_values(form).get(number, ""))
        for form in templates
        for number in range(1, form.page_count + 1)
    ]
    if len(sides) == 1:
        return ChosenSide(sides[0])
    texts = find_codes(page.grey, _kinds(sides)) if any(side.value for side in sides) else []
    meant = _by_code(texts, sides)
    unknown = texts[0] if texts and not meant and templates.only is None else ""
    if unknown:
        meant = [side for side in sides if not side.value]
        if not meant:
            raise _not_in_folder(unknown, templates)
    likely = meant or sides
    if len(likely) == 1 and not unknown:
        return ChosenSide(likely[0])
    try:
        return _by_trial(page, likely, position)
    except ItemError as error:
        if unknown and error.code not in _ANY_FORM:
            raise _not_in_folder(unknown, templates) from None
        raise


def _kinds(sides: Iterable[Side]) -> set[str]:
    codes = [side.form.registration_of(side.number).code for side in sides if side.value]
    return {code.kind for code in codes if code is not None}


def _by_code(texts: Sequence[str], sides: Sequence[Side]) -> list[Side]:
    """The pages that the codes name; a longer value takes precedence over its own beginning.

    Raises ItemError UNREGISTERED when two codes name different pages.
    """
    found = dict[str, str]()
    for text in texts:
        values = [side.value for side in sides if side.value and fits(text, side.value)]
        if values:
            found[max(values, key=len)] = text
    if len(found) > 1:
        codes = " and ".join(map(repr, found.values()))
        raise ItemError(
            Code.UNREGISTERED, f"the picture has several page codes, {codes}: scan one page alone"
        )
    return [side for side in sides if side.value in found]


def _not_in_folder(text: str, templates: Templates) -> ItemError:
    return ItemError(
        Code.WRONG_FORM,
        f"the page code says {text[:80]!r}, but no template has this code ({templates.name}): "
        "add its template to the folder of --forms, or leave the page out",
    )


# --- without a code ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trial:
    side: Side
    located: Located
    in_turn: bool


def _by_trial(page: Page, sides: Sequence[Side], position: int, by_all: bool = False) -> ChosenSide:
    """The page that fits, by the fast methods first, then by all of them."""
    fitting, refused = list[_Trial](), list[tuple[Side, ItemError]]()
    values = [side.value for side in sides]
    for side in sides:
        try:
            located = locate(page, side.form, side.number, by_all)
        except ItemError as error:
            refused.append((side, error))
            if error.code in _SO_SAY_ALL:
                break
            continue
        if values.count(side.value) == 1 and side.value and fits(located.code, side.value):
            # Straightened and enlarged, the code could be read after all, and names the page.
            return ChosenSide(side, located)
        # Pages of a file are expected in the template's order.
        turn = (position - 1) % side.form.page_count + 1
        fitting.append(_Trial(side, located, side.number == turn))
    if not (fitting or by_all or len(sides) > _MOST_BY_ALL or refused[-1][1].code in _SO_SAY_ALL):
        return _by_trial(page, sides, position, by_all=True)
    if not fitting:
        raise _none_fits(refused)
    best = _clear(fitting)
    return ChosenSide(best.side, best.located)


def _clear(fitting: Sequence[_Trial]) -> _Trial:
    """The clearly best fit; between pages of one form, the one that is next in order."""
    first = max(fitting, key=lambda each: (each.located.seen, each.in_turn))
    rivals = [each for each in fitting if each.located.seen > first.located.seen - _LEAD]
    if len({each.side.form.hash for each in rivals}) == 1:
        return next((each for each in rivals if each.in_turn), first)
    names = " or ".join(each.side.words for each in rivals)
    raise ItemError(
        Code.UNREGISTERED,
        f"the page may be {names}, and no page code says which: give its template with --form",
    )


def _none_fits(refused: Sequence[tuple[Side, ItemError]]) -> ItemError:
    for _, error in refused:
        if error.code in _ANY_FORM or len(refused) == 1:
            return error
    codes = {error.code for _, error in refused}
    reasons = [f"{side.words}: {_cause(error.message)}" for side, error in refused]
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return ItemError(
        codes.pop() if len(codes) == 1 else Code.UNREGISTERED,
        f"no template fits ({'; '.join(reasons[:_SHOWN])}{more}): scan it again, or add its "
        "template to the folder of --forms",
    )


def _cause(message: str) -> str:
    """A message without its remedy, which would apply to this template only."""
    return message.rpartition(": ")[0] or message
