"""The configuration of a training: TOML, strictly checked; every key is described here.

``docs/reference/training-config.md`` lists them all; a test compares. Flags of ``inkmill train``
override.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
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
from inkmill.trainer.network_settings import (
    LAYER_ERRORS,
    OWN,
    LayerSettings,
    explain_layer,
    own_architecture,
)
from inkmill.trainer.string_settings import Strings

Share = Annotated[float, Field(ge=0, le=1)]
#: A share, or from 2 a whole number of samples, as scikit-learn's train_test_split takes it.
Part = Annotated[float, Field(ge=0, le=1)] | Annotated[int, Field(ge=2)]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]

DIGITS = tuple("0123456789")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Augmentation(_Table):
    """How much each augmentation does; all are off by default.

    Standard deviations unless said otherwise; lengths as shares of the image's side.
    """

    cells: Share = Field(
        default=0.0, description="share of samples drawn as cells on scanned paper"
    )
    redraw: Share = Field(default=0.0, description="share of those drawn again with another pen")
    square: Share = Field(
        default=0.0, description="share of those drawn as square digits, along printed guides"
    )
    rotation: Amount = Field(default=0.0, description="degrees")
    shear: Amount = Field(default=0.0, description="horizontal shift for each row")
    scale: Amount = Field(default=0.0, description="logarithm of the size")
    aspect: Amount = Field(default=0.0, description="logarithm of width against height")
    translation: Amount = Field(default=0.0, description="shift, share of the side")
    elastic: Amount = Field(
        default=0.0, description="largest elastic displacement, share of the side"
    )
    crop: Share = Field(
        default=0.0, description="largest strip lost at one edge, share of the side"
    )
    stroke: Share = Field(default=0.0, description="share with thinner or thicker strokes")
    pressure: Share = Field(default=0.0, description="share with uneven ink")
    gaps: Share = Field(default=0.0, description="share with gaps in the strokes")
    brightness: Share = Field(default=0.0, description="largest loss of brightness of a crop")
    contrast: Amount = Field(default=0.0, description="logarithm of a crop's gamma")
    noise: Amount = Field(default=0.0, description="largest deviation of noise, share of white")
    lines: Share = Field(default=0.0, description="share of cells with remains of box lines")
    neighbours: Share = Field(default=0.0, description="share of cells with a neighbour's stroke")
    specks: Share = Field(default=0.0, description="share of cells with specks")
    faint: Share = Field(default=0.0, description="share of cells in faint ink")
    ground: Share = Field(
        default=0.0, description="share of cells on printed or uneven ground: waves, rules, shadow"
    )
    blur: Share = Field(default=0.0, description="share of cells that are blurred")
    low_resolution: Share = Field(default=0.0, description="share of cells at 80 to 130 dpi")
    bilevel: Share = Field(default=0.0, description="share of cells that are black and white only")
    jpeg: Share = Field(default=0.0, description="share of cells that went through JPEG")
    flip_horizontal: Share = Field(
        default=0.0, description="share mirrored; prints a warning, as it changes digits"
    )
    flip_vertical: Share = Field(
        default=0.0, description="share upside down; prints a warning, as it changes digits"
    )

    @property
    def active(self) -> bool:
        return any(self.model_dump().values())


class Source(_Table):
    """One source of labelled images."""

    kind: Literal[
        "mnist", "npz", "folder", "names", "table", "voc", "form", "strips", "strokes"
    ] = Field(description="kind of source: see Train on your own data")
    path: str = Field(description="file or folder, below the data folder unless absolute")
    name: str = Field(default="", description="its name in reports; by default the kind")
    weight: Amount = Field(default=1.0, description="its relative share of the training samples")
    cells: Share | None = Field(
        default=None, description="share drawn as cells; by default that of [augmentation]"
    )
    redraw: Share | None = Field(
        default=None, description="share of those redrawn; by default that of [augmentation]"
    )
    labels: dict[str, str] = Field(
        default={}, description='class of some labels; samples of class "" are left out'
    )
    others: str | None = Field(
        default=None,
        description="class of labels that `labels` does not name; by default the label",
    )
    most: Annotated[int, Field(ge=0)] = Field(
        default=0, description="most samples of one writer or document; 0: all"
    )
    rewritten: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0,
        description="strokes: how often each character is added as another hand might write it",
    )
    exclude: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="mnist, npz, strokes: numbers of samples to leave out"
    )
    licence: str = Field(default="", description="licence of the data, for the model card")
    test: Part | None = Field(
        default=None, description="share or number for testing; by default that of [split]"
    )
    pattern: str = Field(
        default="", description="names: regular expression with a group named label"
    )
    group: str = Field(
        default="", description="regular expression on the path with a group named group"
    )
    images: str = Field(default="", description="table, strips, voc, form: folder of the images")
    image_column: str = Field(default="image", description="table, strips: column of the file name")
    label_column: str = Field(
        default="label", description="table, strips: column of the label or text"
    )
    group_column: str = Field(
        default="", description="table, strips: column of the writer or document"
    )
    writers: str = Field(
        default="", description="mnist: folder of QMNIST's labels, which say who wrote each image"
    )
    table: str = Field(default="labels", description="table in an SQLite file")
    image_set: str = Field(
        default="", description="voc: a list of the images to use, such as ImageSets/Main/train.txt"
    )
    difficult: bool = Field(default=True, description="voc: use objects marked as difficult")
    truncated: bool = Field(default=True, description="voc: use objects marked as truncated")
    form: str = Field(default="", description="form: the template")

    def class_of(self, label: str) -> str:
        """The class of a label; empty if its samples are left out."""
        return self.labels.get(label, label if self.others is None else self.others)


class Split(_Table):
    """How samples are divided; MNIST keeps its own test set."""

    test: Part = Field(default=0.25, description="share for testing; from 2: number of samples")
    validation: Part = Field(
        default=0.1, description="share of the rest for validation; from 2: number of samples"
    )
    stratify: bool = Field(
        default=True, description="false: drawn without regard to classes, as by train_test_split"
    )
    by: Literal["", "group"] = Field(default="", description="group: no writer is on both sides")
    hold_out: tuple[str, ...] = Field(default=(), description="groups for testing, by name")
    validation_groups: tuple[str, ...] = Field(
        default=(), description="groups for validation, by name"
    )
    seed: int = Field(
        default=33,
        validation_alias=AliasChoices("seed", "random_state"),
        description="seed of the split; `random_state` is the same",
    )


class Negatives(_Table):
    """Shares of training samples without a digit, drawn by the project."""

    blank: Share = Field(default=0.0, description="share of cells without a digit")
    reject: Share = Field(
        default=0.0, description="share of letters, scribbles, spoilt digits, two digits"
    )
    marks: Share = Field(
        default=0.0, description="share of marks for none, if X or - are among the classes"
    )

    @model_validator(mode="after")
    def _both(self) -> Negatives:
        if (self.blank > 0) != (self.reject > 0):
            raise ValueError("blank and reject go together: set both or neither")
        if self.blank + self.reject + self.marks > 0.9:
            raise ValueError("blank, reject and marks leave no room for digits")
        return self


class Training(_Table):
    """The training loop."""

    steps: Count = Field(default=10_000, description="steps of one batch each")
    batch: Count = Field(default=100, description="samples in a batch")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=0.001, description="peak learning rate"
    )
    optimiser: Literal["adam", "sgd"] = Field(
        default="adam", description="adam (with weight_decay: AdamW), or sgd with momentum"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="sgd: Nesterov momentum"
    )
    clip: Amount = Field(default=0.0, description="largest norm of all gradients together; 0: any")
    schedule: Literal["constant", "cosine", "step"] = Field(
        default="constant", description="schedule of the learning rate"
    )
    decay: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="step: factor of the learning rate"
    )
    decay_every: Count = Field(default=2000, description="step: steps between two such factors")
    warmup: Annotated[int, Field(ge=0)] = Field(
        default=0, description="steps in which the learning rate rises"
    )
    keep: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="share of units that dropout keeps"
    )
    initialiser: Literal["tutorial", "he"] = Field(
        default="tutorial",
        description="tutorial: truncated normal 0.1, biases 0 (dense: 0.1); he: He et al.",
    )
    epsilon: Annotated[float, Field(gt=0)] = Field(default=1e-7, description="epsilon of Adam")
    weight_decay: Amount = Field(
        default=0.0, description="decoupled; multiplied by the learning rate"
    )
    label_smoothing: Share = Field(default=0.0, description="probability taken from the true class")
    averaging: Share = Field(
        default=0.0, description="decay of the weights' moving average; 0 is off"
    )
    echo: Count = Field(default=1, description="how often each augmented crop is used")
    seed: int = Field(default=33, description="seed of weights, order, dropout and augmentation")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="number format of the layers; auto: the fastest, measured"
    )
    deterministic: bool = Field(
        default=False, description="bit-identical weights; computes in float32, slower"
    )


class Reading(_Table):
    """How the finished model reads: part of its manifest, and calibrated with it."""

    sizes: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = Field(
        default=(),
        max_length=8,
        description="doubtful crops are read again at these sizes, relative to their own",
    )
    margin: Annotated[float, Field(ge=0, le=100)] = Field(
        default=5.0, description="doubtful: the best logit leads by less"
    )


class Validation(_Table):
    """Measuring on the validation part while training; for digits, not for strips."""

    every: Count = Field(default=500, description="steps between two validations")
    patience: Annotated[int, Field(ge=0)] = Field(
        default=0, description="stop after so many validations without a lower loss; 0: never"
    )
    best: bool = Field(
        default=False, description="keep the weights of the lowest loss; with patience always so"
    )
    most: Count = Field(default=5000, description="most images to measure on")

    @property
    def keeps_best(self) -> bool:
        return self.best or self.patience > 0


class CheckpointSettings(_Table):
    """How often a run is saved."""

    every: Count = Field(default=1000, description="steps between two checkpoints")
    keep: Count = Field(default=2, description="checkpoints kept")


class Config(_Table):
    """A whole configuration."""

    name: str = Field(default="digits", description="name of the model")
    architecture: str = Field(default="lenet", description="lenet, lenet-deep, lenet5 or strips")
    layers: tuple[LayerSettings, ...] = Field(
        default=(), description="layers of your own in place of a named architecture"
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

    def _check_network(self) -> None:
        if self.layers and self.architecture != OWN:
            raise ValueError("give architecture or [[layers]], not both")
        if not self.layers and self.architecture == OWN:
            raise ValueError(f"architecture {OWN!r} needs [[layers]]")
        if self.layers:
            own_architecture(self.layers, len(self.classes))

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
        if self.layers:
            return own_architecture(self.layers, len(self.classes))
        return ARCHITECTURES[self.architecture]

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

        Raises UsageError with the file, the key and its allowed values.
        """
        return cls.load_values(read_toml(path), overrides or {}, str(path))

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
