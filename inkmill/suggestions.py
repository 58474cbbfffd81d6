"""What somebody may have meant by a word that is not allowed: where it belongs, or a similar word.

For templates, training configs, settings, options, tables and commands alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel

#: Where a word is allowed: the keys that lead there, without numbers of list entries.
Place = tuple[str, ...]
_TOP: Place = ()
#: Places of a word that are named, at most.
_SHOWN = 3


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """``: did you mean 'x'?``, or an empty text if no allowed word is similar.

    Never suggests the word itself.
    """
    near = difflib.get_close_matches(word, [each for each in allowed if each != word], n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def misplaced(word: str, place: Place, words: Mapping[Place, frozenset[str]]) -> str:
    """A hint for a word that is not allowed at ``place``, to be put behind the message.

    It says where this very word belongs; else which similar word is allowed there, or elsewhere.
    ``words`` are the allowed ones, by place, as `words_of` finds them.
    """
    homes = [_named(home) for home, allowed in words.items() if word in allowed and home != place]
    if homes:
        return f": it belongs {' or '.join(homes[:_SHOWN])}"
    everywhere = {each for allowed in words.values() for each in allowed}
    return did_you_mean(word, words.get(place, ())) or did_you_mean(word, everywhere)


def _named(place: Place) -> str:
    return f"in {'.'.join(place)}" if place else "at the top level"


@cache
def words_of(model: type[BaseModel]) -> Mapping[Place, frozenset[str]]:
    """The words that a model allows, at its top level and in its parts."""
    return dict(_walked(model, _TOP))


def _walked(model: type[BaseModel], place: Place) -> Iterator[tuple[Place, frozenset[str]]]:
    names = {name: info.alias or name for name, info in model.model_fields.items()}
    yield place, frozenset(names.values())
    for name, info in model.model_fields.items():
        for part in _models_in(info.annotation):
            yield from _walked(part, (*place, names[name]))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    from pydantic import BaseModel  # a command that needs none of it starts without

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, tuple, list):
        for each in get_args(annotation):
            yield from _models_in(each)


def place_of(path: Iterable[str | int]) -> Place:
    """The place of a word at this path of a document: its keys, without numbers of entries."""
    return tuple(str(step) for step in path if not isinstance(step, int))[:-1]


def is_one_for_many(error: Mapping[str, Any]) -> bool:
    """Whether a pydantic error says that one entry stands where a list of them belongs."""
    return error["type"] in ("tuple_type", "list_type") and isinstance(error.get("input"), dict)
