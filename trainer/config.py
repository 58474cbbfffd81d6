"""The configuration of a training: TOML, strictly checked; every key is described here.

``docs/reference/training-config.md`` lists them all; a test compares. Flags of ``inkmill train``
override.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from inkmill.errors import UsageError
from inkmill.forms.cut.filters import check_filters
from inkmill.models.architectures import ARCHITECTURES, Architecture, reads_strips
from inkmill.models.manifest import BLANK, REJECT
from inkmill.models.strips import CROSS, DASH, SEPARATOR
from inkmill.records.rows import MARKS
from inkmill.suggestions import is_one_for_many, misplaced, place_of, words_of
from inkmill.trainer.settings.augmentation import Augmentation
from inkmill.trainer.settings.network import (
    LAYER_ERRORS,
    OWN,
    LayerSettings,
    explain_layer,
    own_architecture,
    with_first_stage,
)
from inkmill.trainer.settings.sources import Source
from inkmill.trainer.settings.strings import Strings
from inkmill.trainer.settings.tables import (
    CheckpointSettings,
    Negatives,
    Reading,
    Share,
    Split,
    Table,
    Training,
    Validation,
)

DIGITS = tuple("0123456789")


class Config(Table):
    """A whole configuration."""

    name: str = Field(default="digits", description="name of the model")
    architecture: str = Field(
        default="lenet", description="lenet, lenet-deep, lenet-cascade, lenet5 or strips"
    )
    layers: tuple[LayerSettings, ...] = Field(
        default=(), description="layers of your own in place of a named architecture"
    )
    first_stage: tuple[LayerSettings, ...] = Field(
        default=(), description="layers of a small network that reads every crop first"
    )
    classes: tuple[str, ...] = Field(
        default=DIGITS, description="the digits, optionally with blank, reject, X and -"
    )
    filters: tuple[dict[str, Any], ...] = Field(default=(), description="preprocessing, in order")
    sources: tuple[Source, ...] = Field(description="the training data")
    most_lost: Share = Field(
        default=0.1, description="largest share of a source's images that may be without ink"
    )
    split: Split = Split()
    augmentation: Augmentation = Augmentation()
    negatives: Negatives = Negatives()
    strings: Strings = Strings()
    training: Training = Training()
    reading: Reading = Reading()
    validation: Validation = Validation()
    parent: str = Field(
        default="", description="version of the model to begin with; set by `train --from`"
    )
    checkpoints: CheckpointSettings = CheckpointSettings()

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (*ARCHITECTURES, OWN):
            raise ValueError(f"use one of {', '.join(ARCHITECTURES)}, or give [[layers]]")
        return value

    @field_validator("filters")
    @classmethod
    def _checked(cls, value: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        try:
            return check_filters(value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @field_validator("classes")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if odd := [name for name in value if len(name) != 1 and name not in (BLANK, REJECT)]:
            raise ValueError(f"{', '.join(odd)}: use single characters, {BLANK} and {REJECT}")
        if len(value) < 2 or len(set(value)) < len(value):
            raise ValueError("give two or more, each once")
        return value

    @model_validator(mode="after")
    def _classes_fit(self) -> Config:
        self._check_network()
        self._check_drawn()
        self._check_balance()
        if not self.sources:
            raise ValueError("sources: give at least one")
        names = [source.name or source.kind for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: two have the same name: give each its own")
        return self

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        return {"architecture": OWN, **values} if values.get("layers") else values

    def _check_balance(self) -> None:
        """Weights of classes that are there, and given in one way."""
        weights, training = self.training.class_weights, self.training
        if weights and training.balance:
            raise ValueError("[training] give class_weights or balance, not both")
        if unknown := [name for name in weights if name not in self.classes]:
            raise ValueError(
                f"[training] class_weights: {', '.join(unknown)} is not among the classes "
                f"{', '.join(self.classes)}"
            )

    def _check_network(self) -> None:
        if self.layers and self.architecture != OWN:
            raise ValueError("give architecture or [[layers]], not both")
        if not self.layers and self.architecture == OWN:
            raise ValueError(f"architecture {OWN!r} needs [[layers]]")
        self.network  # noqa: B018  raises where the layers do not fit

    def _check_drawn(self) -> None:
        """The classes of which the project draws samples, and the shares of these."""
        wants = {BLANK, REJECT} & set(self.classes)
        if self.reads_strips:
            if wants != {REJECT}:
                raise ValueError(
                    "an architecture that reads strips needs the class reject, no blank"
                )
            if self.filters:
                raise ValueError("an architecture that reads strips takes no filters")
            if self.reading.sizes:
                raise ValueError("an architecture that reads strips takes no [reading] sizes")
            if self.training.balance or self.training.class_weights:
                raise ValueError(
                    "an architecture that reads strips takes no [training] balance, class_weights"
                )
            return
        if wants and (self.negatives.blank == 0 or wants != {BLANK, REJECT}):
            raise ValueError(
                "the classes blank and reject go together and need [negatives] with shares above 0"
            )
        if self.negatives.marks and not self.marks:
            raise ValueError("[negatives] marks needs one of the classes X and -")
        if not wants and self.negatives.blank:
            raise ValueError("[negatives] needs the classes blank and reject")

    @property
    def marks(self) -> tuple[str, ...]:
        """The classes that are marks for none."""
        return tuple(name for name in self.classes if name in MARKS)

    @property
    def reads_strips(self) -> bool:
        """Whether what is trained reads strips, and not single crops."""
        return reads_strips(self.network.layers)

    @property
    def network(self) -> Architecture:
        """The network that is trained."""
        classes = len(self.classes)
        own = own_architecture(self.layers, classes) if self.layers else None
        network = own or ARCHITECTURES[self.architecture]
        return with_first_stage(network, self.first_stage, classes) if self.first_stage else network

    @property
    def drawn(self) -> tuple[str, ...]:
        """The classes of which the project draws samples."""
        if self.reads_strips:
            return REJECT, SEPARATOR, DASH, CROSS
        return (BLANK, REJECT, *(self.marks if self.negatives.marks else ()))

    @property
    def input_size(self) -> int:
        """Side of the crops, or height of the strips, in pixels."""
        return self.network.input_size

    @classmethod
    def load(cls, path: Path, overrides: dict[str, Any] | None = None) -> Config:
        """Read a TOML file; the keys of ``overrides`` are dotted, like ``training.steps``.

        A table [sweep] is left out: it is not of one training. Raises UsageError with the file, the
        key and its allowed values.
        """
        values = read_toml(path)
        values.pop("sweep", None)
        return cls.load_values(values, overrides or {}, str(path))

    @classmethod
    def load_values(cls, values: dict[str, Any], overrides: dict[str, Any], where: str) -> Config:
        """Check parsed TOML, with dotted overrides. Raises UsageError."""
        merged = copy.deepcopy(values)
        for key, value in overrides.items():
            table = merged
            *parents, last = key.split(".")
            for parent in parents:
                table = table.setdefault(parent, {})
                if not isinstance(table, dict):
                    raise UsageError(f"{where}: {key}: {parent} is not a table of the config")
            table[last] = value
        return cls.parse(merged, where)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Config:
        """Check parsed TOML. Raises UsageError."""
        try:
            return cls(**values)
        except ValidationError as error:
            lines = [_explain(each) for each in error.errors()]
            raise UsageError("\n".join(f"{where}: {line}" for line in lines)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file. Raises UsageError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from None


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        path = error["loc"]
        return f"{place}: no such key{misplaced(str(path[-1]), place_of(path), words_of(Config))}"
    if error["type"] in LAYER_ERRORS:
        return f"{place}: {explain_layer(error)}"
    if is_one_for_many(error):
        return f"{place}: there may be several: write [[{place}]] in double brackets"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = (
        "" if isinstance(error["input"], dict | tuple | list) else f" (it is {error['input']!r})"
    )
    return f"{place}: {message}{given}" if place else message
