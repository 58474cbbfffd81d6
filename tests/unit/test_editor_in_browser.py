"""The template editor in Chromium, in short: a form of eight fields, from its page to its template.

More is in tests/browser/test_editor.py.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from playwright.sync_api import expect

from inkmill.desk.editor.drafts import Drafts
from inkmill.template.form import Form
from tests.browser.editor_page import EIGHT, Hand, Printed, desk, sign_in
from tests.desk_browser import Look, chromium, serving


def test_a_form_of_eight_fields_takes_less_than_two_minutes(tmp_path: Path) -> None:
    context = desk()
    with chromium() as browser, serving(context) as address:
        look = Look(browser, address, viewport={"width": 1300, "height": 1700})
        sign_in(look.page)
        printed = Printed(Form.parse(EIGHT))
        hand = Hand(look.page, printed)
        hand.open(printed.write(tmp_path / "members.png"))
        assert len(hand.fields) == 8
        hand.click(64, 45)
        names = [field.name for field in printed.form.fields]
        hand.type("Enter", names[0], "Enter")
        for name in names[1:]:
            hand.type(name, "Enter")
        hand.type("Escape", "s")
        hand.drag(55, 138, 95, 172)
        hand.click(64, 185, shift=True)
        hand.type("Escape")
        hand.click(64, 65)
        rules = look.page.get_by_label("Rules, one a line, such as range: 0-999")
        rules.click()
        hand.type("date: %d%m%Y 1920-01-01 to 2026-12-31", "Tab")
        hand.saved()
        hand.press("Save")
        expect(look.page.locator("[data-hint]")).to_contain_text("The template members is saved")
        form = Drafts(context.store).open_saved("members")
        assert [field.name for field in form.fields] == names
        assert [len(field.cells.rectangles()) for field in form.fields] == [6, 8, 8, 2, 4, 3, 3, 4]
        assert form.checks[0].sum == ("fee", "gift")
        assert form.checks[0].equals == "paid"
        (rule,) = form.fields[1].rules
        assert (rule.date, rule.between) == ("%d%m%Y", (date(1920, 1, 1), date(2026, 12, 31)))
        assert rules.input_value() == "date: %d%m%Y 1920-01-01 to 2026-12-31"
        print(f"8 fields: {hand.gestures} gestures, {hand.keys} keys, {hand.seconds:.0f} s")
        assert hand.seconds < 120
        assert look.wrong == []
