"""Kinds of values, and the tables of the split, of what is drawn, and of the training itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
#: A share, or from 2 a whole number of samples, as scikit-learn's train_test_split takes it.
Part = Annotated[float, Field(ge=0, le=1)] | Annotated[int, Field(ge=2)]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


class Table(BaseModel):
    """A table of the configuration: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Split(Table):
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


class Negatives(Table):
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


class Training(Table):
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
    schedule: Literal["constant", "cosine", "step", "plateau"] = Field(
        default="constant", description="schedule of the learning rate"
    )
    decay: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="step, plateau: factor of the learning rate"
    )
    decay_every: Count = Field(default=2000, description="step: steps between two such factors")
    decay_patience: Count = Field(
        default=3, description="plateau: validations without a lower loss before such a factor"
    )
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
    balance: Literal["", "loss", "sampling"] = Field(
        default="", description="classes count alike: by their loss, or by how often they are drawn"
    )
    class_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="weight of the loss of some classes; that of the others is 1"
    )
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


class Reading(Table):
    """How the finished model reads: part of its manifest, and calibrated with it."""

    sizes: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = Field(
        default=(),
        max_length=8,
        description="doubtful crops are read again at these sizes, relative to their own",
    )
    margin: Annotated[float, Field(ge=0, le=100)] = Field(
        default=6.0, description="doubtful: the best logit leads by less"
    )
    sure: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.999,
        description="probability from which a first stage's reading stands; 1: never",
    )


class Validation(Table):
    """Measuring on the validation part while training."""

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


class CheckpointSettings(Table):
    """How often a run is saved."""

    every: Count = Field(default=1000, description="steps between two checkpoints")
    keep: Count = Field(default=2, description="checkpoints kept")
