"""The template editor in headless Chromium, used with real mouse and key events.

A `Hand` counts what it does, and says how long a person would take by the keystroke-level model:
Card, Moran and Newell, "The keystroke-level model for user performance time with interactive
systems", Communications of the ACM 23 (1980): 0.28 s a key (average typist), 1.1 s to point, 0.2 s
to press and release a button, 0.4 s for a hand to change between mouse and keyboard, and 1.35 s of
thought before each step. Here every gesture and every word that is typed counts as a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Locator, Page, expect

from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.forms.synth.printing import draw_page, template_to_pixels
from inkmill.template.form import Form
from tests.fakes import FakeCluster

PASSWORD = "correct horse battery"
#: A form of eight fields.
EIGHT = """
inkmill_form: 1
name: members
page: {width: 210, height: 297, unit: mm}
registration:
  marks: {shape: square, size: 5, at: [[12, 12], [198, 12], [198, 285], [12, 285]],
          odd: {at: [30, 12]}}
fields:
  - {name: member, cells: {origin: [60, 40], size: [8, 10], pitch: [8, 0], count: 6}}
  - {name: born, cells: {origin: [60, 60], size: [8, 10], pitch: [8, 0], count: 8}}
  - {name: joined, cells: {origin: [60, 80], size: [8, 10], pitch: [8, 0], count: 8}}
  - {name: children, cells: {origin: [60, 100], size: [8, 10], pitch: [8, 0], count: 2}}
  - {name: postcode, cells: {origin: [60, 120], size: [8, 10], pitch: [8, 0], count: 4}}
  - {name: fee, cells: {origin: [60, 140], size: [8, 10], pitch: [10, 0], count: 3}}
  - {name: gift, cells: {origin: [60, 160], size: [8, 10], pitch: [10, 0], count: 3}}
  - {name: paid, cells: {origin: [60, 180], size: [8, 10], pitch: [10, 0], count: 4}}
"""
_KEY, _POINT, _PRESS, _HOME, _THINK = 0.28, 1.1, 0.2, 0.4, 1.35
#: Tests share cores with each other: a page may take this long (milliseconds).
PATIENCE = 90_000
_DPI = 150.0

expect.set_options(timeout=PATIENCE)


def desk() -> DeskContext:
    context = DeskContext(FakeCluster().connection)
    context.people.add("anna", Role.SUPERVISOR, PASSWORD)
    return context


def sign_in(page: Page) -> None:
    page.goto("/sign-in?next=/templates")
    page.fill("[name=name]", "anna")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#file")).to_be_attached()


@dataclass
class Printed:
    """A form as printed, for pointing at it in template units."""

    form: Form
    number: int = 1

    @property
    def grey(self) -> np.ndarray:
        return draw_page(self.form, self.number, _DPI)

    def write(self, path: Path) -> Path:
        cv2.imwrite(str(path), self.grey)
        return path


class Hand:
    """A person at the editor. Places are in the units of the printed form's template."""

    def __init__(self, page: Page, printed: Printed) -> None:
        self.page = page
        self._place = template_to_pixels(printed.form, _DPI)
        self._width = printed.grey.shape[1]
        self.gestures = self.words = self.keys = 0
        self.seconds = 0.0
        self._on_mouse = True

    def open(self, path: Path) -> None:
        """Drop a file; waits for its boxes."""
        self.page.set_input_files("#file", path)
        expect(self.page.locator("[data-saving]")).to_be_visible()
        expect(self.page.locator("svg image")).to_be_visible()

    def click(self, x: float, y: float, *, shift: bool = False) -> None:
        self._pointing(points=1)
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self._on_screen(x, y))
        if shift:
            self.page.keyboard.up("Shift")

    def drag(self, left: float, top: float, right: float, bottom: float) -> None:
        """Draw from one corner to the other."""
        self._pointing(points=2)
        start, end = self._on_screen(left, top), self._on_screen(right, bottom)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def press(self, label: str) -> None:
        """Click a button."""
        self._pointing(points=1)
        self.page.get_by_role("button", name=label, exact=True).click()

    def choose(self, label: str, value: str) -> None:
        """Choose in a list, by its label."""
        self._pointing(points=2)
        self.page.get_by_label(label, exact=True).select_option(value)

    def type(self, *keys: str) -> None:
        """Type words, or press keys by their names, such as Enter or Control+z."""
        self.words += 1
        self.seconds += _THINK + (_HOME if self._on_mouse else 0)
        self._on_mouse = False
        for key in keys:
            named = len(key) > 1 and (key[0].isupper() or key == "Control")
            strokes = 1 if named else len(key)
            self.keys += strokes
            self.seconds += strokes * _KEY
            if named:
                self.page.keyboard.press(key)
            else:
                self.page.keyboard.type(key)

    def fill(self, label: str, text: str) -> None:
        """Click into a field and type."""
        self._pointing(points=1)
        self.page.get_by_label(label, exact=True).click()
        self.type(text, "Enter")

    def saved(self) -> None:
        """Wait until everything is kept."""
        expect(self.page.locator("[data-saving]")).to_have_text("Saved")

    @property
    def fields(self) -> list[str]:
        """What is written at the fields of the page, in the template's order."""
        return self.page.locator(".boxes .field text").all_text_contents()

    @property
    def selected(self) -> Locator:
        return self.page.locator(".boxes .field.selected")

    def _pointing(self, points: int) -> None:
        self.gestures += 1
        self.seconds += _THINK + points * _POINT + _PRESS + (0 if self._on_mouse else _HOME)
        self._on_mouse = True

    def _on_screen(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("svg[data-page]").bounding_box()
        assert box is not None
        u, v, _ = self._place @ (x, y, 1)
        scale = box["width"] / self._width
        return box["x"] + (u + 0.5) * scale, box["y"] + (v + 0.5) * scale
