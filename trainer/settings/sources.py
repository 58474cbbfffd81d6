"""The tables [[sources]]: where labelled images come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inkmill.trainer.settings.tables import Amount, Part, Share, Table


class Source(Table):
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
    orientation: Literal["", "applied", "ignored"] = Field(
        default="",
        description="voc: whether boxes were drawn on pictures turned as EXIF says; by default "
        "told by <size>",
    )
    form: str = Field(default="", description="form: the template")

    def class_of(self, label: str) -> str:
        """The class of a label; empty if its samples are left out."""
        return self.labels.get(label, label if self.others is None else self.others)
