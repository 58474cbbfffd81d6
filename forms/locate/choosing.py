"""Which template, and which of its pages, a scan shows: by its page code, else by trying them.

A page code decides if one is read. Without one, every template is tried as if it were the only
one, and the clearly best fit is chosen; if two fit equally well, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inkmill.codes import Code, PageBy
from inkmill.errors import ItemError
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import Located, locate
from inkmill.forms.locate.vision.pagecode import find_codes
from inkmill.template.form import Form
from inkmill.template.pagecode import PageCode
from inkmill.template.templates import Templates

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
    """One page of one template."""

    form: Form
    number: int

    @property
    def words(self) -> str:
        many = self.form.page_count > 1
        return f"{self.form.name}, page {self.number}" if many else self.form.name

    @property
    def code(self) -> PageCode | None:
        """The page's code, if its content says which template or page it is."""
        return self.form.code_of(self.number)

    @property
    def looks(self) -> bool:
        """Whether anything on the page but its code tells it from the form's first page."""
        return bool(self.form.page_fields(self.number)) or self.form.has_own_place(self.number)

    def named_by(self, text: str) -> bool:
        """Whether the content of a code can be this page's."""
        return self.code is not None and self.code.names(text, self.number)


@dataclass(frozen=True)
class ChosenSide:
    """The chosen page, and how it was chosen.

    ``located`` is set if it had to be located in order to be chosen; ``text`` is the content of
    its page code, if that was read.
    """

    side: Side
    by: PageBy
    located: Located | None = None
    text: str = ""


def choose(page: Page, templates: Templates, position: int) -> ChosenSide:
    """The template and its page that a scan shows; ``position`` is its place in its file, from 1.

    Raises ItemError WRONG_FORM for a page code that no template has, UNREGISTERED if two templates
    fit equally well, and the reasons of the trials if none fits.
    """
    sides = _sides(templates)
    if len(sides) == 1 and (sides[0].code is None or not sides[0].code.groups):
        return ChosenSide(sides[0], PageBy.LOOK)
    texts = _texts(page, sides)
    text, meant = _by_code(texts, sides)
    if len(meant) == 1:
        return ChosenSide(meant[0], PageBy.CODE, text=text)
    unknown = texts[0] if texts and not meant and templates.only is None else ""
    if unknown:
        meant = [side for side in sides if side.code is None]
        if not meant:
            raise _not_in_folder(unknown, templates)
    likely = [side for side in meant or sides if side.looks]
    if len(likely) == 1 and not unknown:
        return ChosenSide(likely[0], PageBy.LOOK, text=text)
    try:
        found = _by_trial(page, likely, position)
        return replace(found, text=text or found.text)
    except ItemError as error:
        if unknown and error.code not in _ANY_FORM:
            raise _not_in_folder(unknown, templates) from None
        raise


def choose_by_code(page: Page, templates: Templates) -> ChosenSide | None:
    """The template and its page that a page code names; None if no code names one alone.

    Raises ItemError as `choose` does for codes that contradict each other or the templates.
    """
    sides = _sides(templates)
    text, meant = _by_code(_texts(page, sides), sides)
    return ChosenSide(meant[0], PageBy.CODE, text=text) if len(meant) == 1 else None


def _sides(templates: Templates) -> list[Side]:
    return [Side(form, n) for form in templates for n in range(1, form.page_count + 1)]


def _texts(page: Page, sides: Sequence[Side]) -> list[str]:
    """The contents of all codes on a page, if any side is told by one."""
    codes = [side.code for side in sides if side.code is not None]
    if not codes:
        return []
    kinds = {code.kind for code in codes}
    return find_codes(
        page.grey, kinds, lambda text: any(code.read(text) is not None for code in codes)
    )


def _by_code(texts: Sequence[str], sides: Sequence[Side]) -> tuple[str, list[Side]]:
    """A code's content and the pages that it names; a longer value precedes its own beginning.

    Raises ItemError UNREGISTERED when codes name different pages or documents, WRONG_FORM when one
    names a page that its form does not have.
    """
    found = dict[tuple[str, ...], tuple[str, list[Side]]]()
    for text in texts:
        named = [side for side in sides if side.named_by(text)]
        if not named:
            _refuse_beyond(text, sides)
            continue
        longest = max(len(_value(side)) for side in named)
        meant = [side for side in named if len(_value(side)) == longest]
        document = meant[0].form.key_of_code(text, meant[0].number)
        found[document, *(side.words for side in meant)] = text, meant
    if len(found) > 1:
        codes = " and ".join(repr(text) for text, _ in found.values())
        raise ItemError(
            Code.UNREGISTERED, f"the picture has several page codes, {codes}: scan one page alone"
        )
    return next(iter(found.values()), ("", []))


def _value(side: Side) -> str:
    return (side.code.value or "") if side.code is not None else ""


def _refuse_beyond(text: str, sides: Sequence[Side]) -> None:
    for side in sides:
        said = side.code.read(text) if side.code is not None else None
        if said is not None and said.page is not None:
            count = side.form.page_count
            raise ItemError(
                Code.WRONG_FORM,
                f"the page code says {text[:80]!r}: page {said.page}, but {side.form.name} has "
                f"{count} page{'s' if count > 1 else ''}: list it under pages in the template, or "
                "leave the page out",
            )


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
    for side in sides:
        try:
            located = locate(page, side.form, side.number, by_all)
        except ItemError as error:
            refused.append((side, error))
            if error.code in _SO_SAY_ALL:
                break
            continue
        if located.code and [each for each in sides if each.named_by(located.code)] == [side]:
            # Straightened and enlarged, the code could be read after all, and names the page.
            return ChosenSide(side, PageBy.CODE, located, located.code)
        # Pages of a file are expected in the template's order.
        turn = (position - 1) % side.form.page_count + 1
        fitting.append(_Trial(side, located, side.number == turn))
    if not (fitting or by_all or len(sides) > _MOST_BY_ALL or refused[-1][1].code in _SO_SAY_ALL):
        return _by_trial(page, sides, position, by_all=True)
    if not fitting:
        raise _none_fits(refused)
    best, by = _clear(fitting)
    return ChosenSide(best.side, by, best.located)


def _clear(fitting: Sequence[_Trial]) -> tuple[_Trial, PageBy]:
    """The clearly best fit; between pages of one form, the one that is next in order."""
    first = max(fitting, key=lambda each: (each.located.seen, each.in_turn))
    rivals = [each for each in fitting if each.located.seen > first.located.seen - _LEAD]
    if len(rivals) == 1:
        return first, PageBy.LOOK
    if len({each.side.form.hash for each in rivals}) == 1:
        return next((each for each in rivals if each.in_turn), first), PageBy.ORDER
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
