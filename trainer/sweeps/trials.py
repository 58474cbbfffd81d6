"""The trials of a sweep: which values are tried, in which runs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.settings.tables import Count, Table

#: More runs than this are a mistake in the table rather than a sweep.
_MOST_TRIALS = 1000


class Range(Table):
    """Values between two bounds, both included."""

    low: float = Field(description="least value")
    high: float = Field(description="largest value")
    log: bool = Field(default=False, description="drawn by its logarithm")
    whole: bool = Field(default=False, description="whole numbers")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 with log")
        return self

    def draw(self, rng: np.random.Generator) -> float | int:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = float(rng.uniform(self.low, self.high))
        return round(value) if self.whole else float(f"{value:.4g}")


Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class Sweep(Table):
    """The table [sweep] of a config."""

    search: Literal["grid", "random"] = Field(
        default="grid", description="grid: all combinations; random: drawn ones"
    )
    trials: Count = Field(default=20, description="random: number of combinations")
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        default=(33,), description="seeds of the training; each combination is trained with each"
    )
    seed: int = Field(default=33, description="random: seed of the combinations")
    keys: dict[str, Range | Values] = Field(
        description="keys of the config, with a list of values, or low and high"
    )

    @model_validator(mode="after")
    def _listed(self) -> Sweep:
        ranges = [key for key, values in self.keys.items() if isinstance(values, Range)]
        if self.search == "grid" and ranges:
            raise ValueError(
                f'{", ".join(ranges)}: a grid needs a list of values; use search = "random"'
            )
        if not self.keys:
            raise ValueError("keys: name at least one")
        return self

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The values of each combination, by dotted key."""
        if self.search == "grid":
            lists = [each for each in self.keys.values() if not isinstance(each, Range)]
            for chosen in itertools.product(*lists):
                yield dict(zip(self.keys, chosen, strict=True))
            return
        rng = np.random.default_rng(self.seed)
        for _ in range(self.trials):
            yield {
                key: each.draw(rng) if isinstance(each, Range) else each[rng.integers(len(each))]
                for key, each in self.keys.items()
            }


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a sweep: the combination's number and values, its seed, and its config."""

    run: str
    number: int
    values: Mapping[str, Any]
    seed: int
    config: Config


def trials_of(base: Config, given: Mapping[str, Any], run: str, where: str) -> list[Trial]:
    """The trials that a table [sweep] asks for; every config is checked before the first.

    Raises UsageError that names the file, the key and its allowed values.
    """
    try:
        sweep = Sweep(**{**given, "keys": _dotted(given.get("keys", {}))})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("sweep", *first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{where}: {place}: {message}") from None
    combinations = list({_text(each): each for each in sweep.combinations()}.values())
    if len(combinations) * len(sweep.seeds) > _MOST_TRIALS:
        raise UsageError(
            f"{where}: sweep: {len(combinations) * len(sweep.seeds)} runs are more than "
            f'{_MOST_TRIALS}: name fewer values, or use search = "random"'
        )
    digits = len(str(len(combinations)))
    values = base.model_dump(mode="json")
    return [
        Trial(
            f"{run}-trial{number:0{digits}d}-s{seed}",
            number,
            chosen,
            seed,
            Config.load_values(
                values, {**chosen, "training.seed": seed}, f"{where}: {_text(chosen)}"
            ),
        )
        for number, chosen in enumerate(combinations, 1)
        for seed in sweep.seeds
    ]


def _dotted(keys: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Tables within [sweep.keys], as TOML reads dotted keys, with their names in one."""
    found: dict[str, Any] = {}
    for name, value in keys.items():
        if isinstance(value, Mapping) and not {"low", "high"} & value.keys():
            found |= _dotted(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def _text(values: Mapping[str, Any]) -> str:
    """Values in words, such as ``training.batch = 32, split.seed = 1``."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
