"""The crop that training and serving share."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkmill.errors import UsageError
from inkmill.forms.cut.crops import normalise_cells
from inkmill.forms.cut.filters import FILTERS, apply_filters, check_filters
from inkmill.forms.cut.normalise import normalise


def cell(side: int = 95, paper: int = 240, pen: int = 60) -> np.ndarray:
    """A cell with a 7 written in it, left of the middle."""
    image = np.full((side, side), paper, np.uint8)
    unit = side / 95
    points = np.array([[22, 20], [52, 20], [34, 75]]) * unit
    cv2.polylines(image, [points.astype(np.int32)], False, pen, max(1, round(4 * unit)))
    return image


def test_a_crop_is_white_on_black_and_centred_by_mass() -> None:
    crop = normalise(cell())
    assert crop is not None
    assert crop.shape == (28, 28)
    assert crop.dtype == np.uint8
    assert crop.max() == 255
    rows, columns = np.nonzero(crop > 30)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    moments = cv2.moments(crop)
    assert abs(moments["m10"] / moments["m00"] - 13.5) <= 0.6
    assert abs(moments["m01"] / moments["m00"] - 13.5) <= 0.6


def test_polarity_does_not_matter() -> None:
    dark, light = normalise(cell()), normalise(255 - cell())
    assert dark is not None
    assert light is not None
    np.testing.assert_array_equal(dark, light)


@pytest.mark.parametrize(("paper", "pen"), [(255, 0), (235, 195), (120, 60), (90, 60)])
def test_faint_ink_and_dark_paper_give_the_same_digit(paper: int, pen: int) -> None:
    crop, reference = normalise(cell(paper=paper, pen=pen)), normalise(cell())
    assert crop is not None
    assert reference is not None
    assert np.abs(crop.astype(int) - reference).mean() < 3


def test_input_size_of_classic_lenet() -> None:
    crop = normalise(cell(), size=32)
    assert crop is not None
    assert crop.shape == (32, 32)
    rows, _ = np.nonzero(crop > 30)
    assert np.ptp(rows) + 1 in (22, 23)


def test_light_on_dark_of_the_right_size_is_used_as_it_is() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[3:9, 5:7] = 200
    np.testing.assert_array_equal(normalise(image), image)
    assert normalise(np.zeros((28, 28), np.uint8)) is None
    turned = normalise(255 - image)
    assert turned is not None
    assert turned.max() == 255


def test_no_ink_no_crop() -> None:
    noise = np.random.default_rng(1).normal(230, 4, (95, 95)).clip(0, 255).astype(np.uint8)
    shaded = np.tile(np.linspace(150, 180, 95).astype(np.uint8), (95, 1))
    for empty in (np.full((95, 95), 255, np.uint8), noise, shaded):
        assert normalise(empty) is None


def test_specks_and_line_remains_are_no_ink() -> None:
    image = np.full((95, 95), 240, np.uint8)
    image[40:43, 50:53] = 20
    assert normalise(image) is None
    image[:3, :] = 0
    image[:, 93:] = 0
    assert normalise(image) is None


def test_line_remains_and_a_neighbours_stroke_leave_the_digit_alone() -> None:
    clean, dirty = cell(), cell()
    dirty[:2, :] = 0
    dirty[:, 92:] = 0
    dirty[50:70, :6] = 40
    np.testing.assert_array_equal(normalise(dirty), normalise(clean))


def test_two_digits_both_stay() -> None:
    image = cell()
    cv2.line(image, (75, 20), (75, 75), 60, 4)
    crop = normalise(image)
    assert crop is not None
    count, _ = cv2.connectedComponents((crop > 60).astype(np.uint8))
    assert count == 3


def test_a_photo_is_reduced_first() -> None:
    large, small = normalise(cell(side=1900)), normalise(cell())
    assert large is not None
    assert small is not None
    assert np.abs(large.astype(int) - small).mean() < 12


def test_an_image_of_four_pixels_gives_no_crop() -> None:
    assert normalise(np.zeros((4, 1), np.uint8)) is None
    assert normalise(np.full((1, 4), 255, np.uint8)) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(2, 256))
def test_any_image_gives_a_crop_or_none(height: int, width: int, seed: int, levels: int) -> None:
    image = np.random.default_rng(seed).integers(0, levels, (height, width)).astype(np.uint8)
    crop = normalise(image)
    assert crop is None or (crop.shape == (28, 28) and crop.max() >= 14)


@pytest.mark.parametrize("shape", [(28, 28, 3), (0, 5)])
def test_wrong_arrays_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="needs a grey image"):
        normalise(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_runs_with_its_defaults(name: str) -> None:
    filters = check_filters([{"name": name}])
    crop = normalise(cell(), filters=filters)
    assert crop is not None
    assert crop.max() == 255


def test_erode_thins_and_dilate_thickens_whatever_the_polarity() -> None:
    for image in (cell(), 255 - cell()):
        plain, thin, thick = (
            normalise(image, filters=check_filters(filters))
            for filters in ([], [{"name": "erode"}], [{"name": "dilate", "size": 5}])
        )
        assert plain is not None
        assert thin is not None
        assert thick is not None
        assert thin.mean() < plain.mean() < thick.mean()


@pytest.mark.parametrize("method", ["fixed", "otsu", "adaptive"])
def test_binarised_ink_is_ink(method: str) -> None:
    filters = check_filters([{"name": "binarise", "method": method}])
    image = apply_filters(255 - cell(), filters)
    assert set(np.unique(image)) == {0, 255}
    assert image[20, 40] == 255
    assert image[90, 90] == 0


@pytest.mark.parametrize("method", ["otsu", "adaptive"])
@pytest.mark.parametrize("noise", [2, 5, 12])
def test_binarised_noise_is_paper(method: str, noise: int) -> None:
    """Of an empty cell nothing is left, and a digit looks as it does without noise."""
    filters = check_filters([{"name": "binarise", "method": method}])
    grain = np.random.default_rng(noise).normal(0, noise, cell().shape)
    paper = np.full(cell().shape, 235) + grain
    assert normalise(paper.clip(0, 255).astype(np.uint8), filters=filters) is None
    plain = normalise(cell(), filters=filters)
    noisy = normalise((cell() - 10 + grain).clip(0, 255).astype(np.uint8), filters=filters)
    assert plain is not None
    assert noisy is not None
    assert np.abs(plain.astype(int) - noisy).mean() < 12


@pytest.mark.parametrize(
    ("given_filter", "words"),
    [
        ({"name": "sharpen"}, "filter 1 is 'sharpen': use one of median"),
        ({"size": 3}, "use a table with a name"),
        ({"name": "median", "size": 4}, "median.*size is 4: use 1 to 15, odd"),
        ({"name": "median", "radius": 4}, "has no 'radius': its parameters are size"),
        ({"name": "gaussian", "sigma": "big"}, "sigma is 'big': use a number"),
        ({"name": "binarise", "method": "magic"}, "use one of fixed, otsu, adaptive"),
    ],
)
def test_a_wrong_filter_is_named(given_filter: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_filters([given_filter])


def noisy_cell(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Strokes, some over the edge, specks and grain on paper of any brightness; or noise only."""
    if rng.random() < 0.1:
        return rng.integers(0, 256, shape).astype(np.uint8)
    image = np.full(shape, int(rng.integers(90, 256)), np.uint8)
    for _ in range(rng.integers(0, 6)):
        ends = rng.integers(0, max(shape), (2, 2)).tolist()
        cv2.line(image, *ends, int(rng.integers(0, 200)), int(rng.integers(1, 8)))
    grained = image + rng.normal(0, rng.choice([0, 4, 15]), shape)
    return np.clip(grained if rng.random() < 0.8 else 255 - grained, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [20, 28, 32])
def test_many_cells_give_bit_by_bit_the_crops_of_each_alone(size: int) -> None:
    rng = np.random.default_rng(size)
    shapes = [(99, 76), (56, 40), (28, 28), (7, 90), (1, 5), (300, 260)]
    seen = {True: 0, False: 0}
    for shape in shapes:
        cells = np.stack([noisy_cell(rng, shape) for _ in range(30)])
        for filters in ((), check_filters([{"name": "median", "size": 3}])):
            crops, empty = normalise_cells(cells, size, filters)
            for cell, crop, none in zip(cells, crops, empty, strict=True):
                alone = normalise(cell, size, filters)
                assert none == (alone is None)
                np.testing.assert_array_equal(crop, np.zeros_like(crop) if alone is None else alone)
                seen[alone is None] += 1
    assert min(seen.values()) > 50


def test_no_cells_are_no_crops() -> None:
    crops, empty = normalise_cells(np.empty((0, 60, 50), np.uint8))
    assert crops.shape == (0, 28, 28)
    assert empty.shape == (0,)


def written(digit: str, pen: int) -> np.ndarray:
    """A digit in a stroke font, dark on white, with a wide margin."""
    image = np.full((200, 200), 255, np.uint8)
    cv2.putText(image, digit, (60, 140), cv2.FONT_HERSHEY_SIMPLEX, 4.0, 40, pen, cv2.LINE_AA)
    return image


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("pen", [4, 10, 20])
@pytest.mark.parametrize("digit", "0123456789")
def test_a_digit_cut_to_its_outline_is_read_like_one_with_a_margin(
    digit: str, pen: int, light: bool
) -> None:
    image = written(digit, pen)
    rows, columns = np.nonzero(image < 128)
    tight = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    if light:
        image, tight = 255 - image, 255 - tight
    loose, crop = normalise(image), normalise(tight)
    assert loose is not None
    assert crop is not None
    assert np.abs(loose.astype(int) - crop).mean() < 12
    np.testing.assert_array_equal(normalise_cells(tight[None])[0][0], crop)


@pytest.mark.parametrize("thick", [1, 2])
@pytest.mark.parametrize("inset", [0, 1])
def test_an_empty_box_has_no_ink(thick: int, inset: int) -> None:
    image = np.full((60, 50), 255, np.uint8)
    cv2.rectangle(image, (inset, inset), (49 - inset, 59 - inset), 30, thick)
    assert normalise(image) is None
    assert normalise_cells(image[None])[1][0]


def test_a_neighbours_stroke_is_left_out() -> None:
    image = cell()
    alone = normalise(image)
    cv2.ellipse(image, (0, 40), (9, 20), 0, 0, 360, 60, 4)
    both = normalise(image)
    assert alone is not None
    assert both is not None
    assert np.abs(alone.astype(int) - both).mean() < 1


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("thick", [2, 3, 4])
def test_a_box_all_around_does_not_turn_the_polarity(thick: int, light: bool) -> None:
    image = cell(side=36)
    alone = normalise(image)
    cv2.rectangle(image, (0, 0), (35, 35), 50, thick)
    framed = normalise(255 - image if light else image)
    assert alone is not None
    assert framed is not None
    assert np.abs(framed.astype(int) - alone).mean() < 25
    assert framed[:3].max() == 0


def test_a_bold_light_digit_on_black_stays_light() -> None:
    image = np.zeros((28, 28), np.uint8)
    cv2.ellipse(image, (14, 14), (7, 9), 0, 0, 360, 255, 6)
    image[12:16, 8:20] = 255
    assert (image > 127).mean() > 0.3
    np.testing.assert_array_equal(normalise(image), image)
