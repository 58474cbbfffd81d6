"""Sources of annotated pictures: boxes in Pascal VOC's XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from inkmill.errors import UsageError
from inkmill.trainer.data.labelled_files import read_image
from tests.unit.digit_images import cell
from tests.unit.test_trainer_data import labels, load

_OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def write_voc(folder: Path, name: str, objects: list[tuple[Any, ...]]) -> None:
    body = "".join(_OBJECT.format(*each) for each in objects)
    text = f"<annotation><filename>{name}</filename>{body}</annotation>"
    (folder / f"{name}.xml").write_text(text)


def test_pascal_voc_boxes_become_samples(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "page.png"), np.hstack([cell("4", 1), cell("7", 2)]))
    write_voc(
        tmp_path,
        "page.png",
        [("4", 0, 0, 48, 48), ("7", 48, 0, 96, 48), ("1", 60, 0, 99, 48), ("1", "x", 0, 9, 9)],
    )
    write_voc(tmp_path, "gone.png", [("1", 0, 0, 5, 5)])
    (tmp_path / "odd.xml").write_text("<annotation>")
    dataset = load(tmp_path, kind="voc", path=".")
    assert labels(dataset) == ["4", "7"]
    np.testing.assert_array_equal(dataset.samples[1].image, cell("7", 2))
    reasons = {problem.where: problem.reason for problem in dataset.problems}
    assert "outside the picture of 96 x 48" in reasons["page.png.xml object 3"]
    assert "not four numbers" in reasons["page.png.xml object 4"]
    assert "its image 'gone.png' was not found" in reasons["gone.png.xml"]
    assert "not XML" in reasons["odd.xml"]


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("C:\\scans\\page.png", "page.png"),
        ("/home/anna/page.png", "page.png"),
        ("page", "page.png"),
        ("PAGE.PNG", "page.png"),
        ("Mu\u0308ller.png", "M\u00fcller.png"),
    ],
)
def test_an_annotated_picture_is_found_by_the_name_it_had_elsewhere(
    tmp_path: Path, named: str, there: str
) -> None:
    (tmp_path / there).write_bytes(cv2.imencode(".png", cell("4", 1))[1].tobytes())
    body = _OBJECT.format("4", -1, 0, 48, 49)
    text = f"<annotation><filename>{named}</filename>{body}</annotation>"
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/a.xml").write_text("no XML")
    dataset = load(tmp_path, kind="voc", path=".")
    assert (labels(dataset), dataset.problems) == (["4"], [])
    np.testing.assert_array_equal(dataset.samples[0].image, cell("4", 1))


def test_vocs_own_layout_sets_and_marks(tmp_path: Path) -> None:
    """JPEGImages beside Annotations, ImageSets, difficult objects, names only in <path>."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    marked = _OBJECT.format("7", 0, 0, 48, 48).replace(
        "<bndbox>", "<difficult>1</difficult><bndbox>"
    )
    plain = _OBJECT.format("4", 0, 0, 48, 48)
    for name, objects in (("a", plain + marked), ("b", plain), ("c", plain), ("empty", "")):
        cv2.imwrite(str(tmp_path / "JPEGImages" / f"{name}.png"), cell("4", 1))
        (tmp_path / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><path>C:\\scans\\{name}.png</path>{objects}</annotation>"
        )
    everything = load(tmp_path, kind="voc", path=".")
    assert labels(everything) == ["4", "7", "4", "4"]
    assert [each.where for each in everything.problems] == ["Annotations/empty.xml"]
    assert "it has no object" in everything.problems[0].reason
    (tmp_path / "ImageSets/Main/4_train.txt").write_text("a  1\nb -1\nc  0\ngone 1\n")
    chosen = load(
        tmp_path, kind="voc", path=".", image_set="ImageSets/Main/4_train.txt", difficult=False
    )
    assert [each.where.split("/")[1] for each in chosen.samples] == [
        "a.xml object 1",
        "c.xml object 1",
    ]
    assert chosen.notes == ["Annotations/a.xml object 2: left out, as it is marked as difficult"]
    assert chosen.problems[0].reason == "gone has no annotation"


def test_an_annotation_of_another_size_is_scaled_or_refused(tmp_path: Path) -> None:
    two = np.hstack([cell("4", 1), cell("7", 2)])
    cv2.imwrite(str(tmp_path / "page.png"), two)
    for name, size in (("scaled", (192, 96)), ("turned", (48, 96))):
        boxes = (
            _OBJECT.format("7", 96, 0, 192, 96)
            if name == "scaled"
            else _OBJECT.format(4, 0, 0, 9, 9)
        )
        text = "<width>{}</width><height>{}</height>".format(*size)
        (tmp_path / f"{name}.xml").write_text(
            f"<annotation><filename>page.png</filename><size>{text}</size>{boxes}</annotation>"
        )
    dataset = load(tmp_path, kind="voc", path=".")
    assert labels(dataset) == ["7"]
    np.testing.assert_array_equal(dataset.samples[0].image, cell("7", 2))
    (problem,) = dataset.problems
    assert "its <size> is 48 x 96, but the picture is 96 x 48" in problem.reason


@pytest.mark.parametrize("turn", range(2, 9))
def test_boxes_of_photos_that_exif_turns(tmp_path: Path, turn: int) -> None:
    """Whether boxes were drawn on the turned photo or on the stored one, samples are the same."""
    upright = np.hstack([cell("4", 1), cell("7", 2), cell("1", 3)])
    # What is stored is whatever becomes the upright picture when it is turned as EXIF says.
    for back in (None, *Image.Transpose):
        stored = Image.fromarray(upright)
        stored = stored if back is None else stored.transpose(back)
        exif = Image.Exif()
        exif[274] = turn
        stored.save(tmp_path / "photo.png", exif=exif)
        if np.array_equal(read_image(tmp_path / "photo.png"), upright):
            break
    height, width = upright.shape
    drawn = {"applied": ((width, height), (48, 0, 96, 48))}
    # The box of the middle cell in the stored picture lies in its middle, too.
    box = (48, 0, 96, 48) if stored.size == (width, height) else (0, 48, 48, 96)
    drawn["ignored"] = (stored.size, box)
    for how, (size, at) in drawn.items():
        text = "<size><width>{}</width><height>{}</height></size>".format(*size)
        (tmp_path / "photo.xml").write_text(
            f"<annotation><filename>photo.png</filename>{text}{_OBJECT.format('7', *at)}"
            "</annotation>"
        )
        (sample,) = load(tmp_path, kind="voc", path=".", orientation=how).samples
        np.testing.assert_array_equal(sample.image, cell("7", 2))
        if turn < 5:
            with pytest.raises(UsageError, match=rf"EXIF orientation {turn}.*before or after"):
                load(tmp_path, kind="voc", path=".")
        else:
            (same,) = load(tmp_path, kind="voc", path=".").samples
            np.testing.assert_array_equal(same.image, sample.image)
