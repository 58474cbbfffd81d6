"""Dates that lie between two days."""

from __future__ import annotations

import pytest

from inkmill.codes import Code, Status
from inkmill.errors import FormError
from tests.unit.form_pages import cell, form, judged


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("between: [2026-10-01, 2026-12-31]", "01102026 31122026 30112026", "30092026 01012027"),
        ("between: ['1899-12-31', '2000-02-29']", "31121899 29022000", "30121899 01032000"),
        ("between: [2026-06-15, 2026-06-30]", "15062026 30062026", "14062026 01072026"),
    ],
)
def test_a_date_lies_between_two_days(rule: str, good: str, bad: str) -> None:
    page = form({"a": f"8|type: code, rules: [{{date: '%d%m%Y', {rule}}}]"})
    assert type(page).parse(page.to_text()).hash == page.hash
    for value in good.split():
        assert judged(page, {"a": value})["a"].status is Status.OK
    for value in bad.split():
        found = judged(page, {"a": value})["a"]
        assert found.code is Code.RULE_FAILED
        assert "%d%m%Y from " in found.message
    # Digits that the days leave no choice for need not be read as surely.
    unsure = {("a", 4): cell("2", 0.97), ("a", 6): cell("2", 0.97)}
    anywhere = form({"a": "8|type: code, rules: [{date: '%d%m%Y'}]"})
    assert judged(anywhere, {"a": "29022024"}, unsure)["a"].status is Status.REVIEW
    narrow = form(
        {"a": "8|type: code, rules: [{date: '%d%m%Y', between: [2021-01-01, 2029-12-31]}]"}
    )
    assert judged(narrow, {"a": "29022024"}, unsure)["a"].status is Status.OK


def test_a_day_that_does_not_exist_is_named_with_its_line() -> None:
    rule = "date: '%d%m%Y', between: [2026-01-01, 2026-02-30]"
    with pytest.raises(FormError) as found:
        form({"a": f"8|type: code, rules: [{{{rule}}}]"})
    assert "rules[1].between: give the first and the last day" in str(found.value)
    assert ", line " in str(found.value)
    assert len(str(found.value).splitlines()) == 1


def test_two_digits_of_a_year_may_be_of_any_century() -> None:
    rule = "date: '%d%m%y', between: [1931-05-02, 2003-02-28]"
    page = form({"a": f"6|type: code, rules: [{{{rule}}}]"})
    for value in ("020531", "010131", "311299", "290200", "280203", "010303", "010515", "010429"):
        status = judged(page, {"a": value})["a"].status
        years = [int(value[4:]) + century for century in (1900, 2000)]
        days = [f"{year}-{value[2:4]}-{value[:2]}" for year in years]
        lies = any("1931-05-02" <= day <= "2003-02-28" for day in days)
        assert (status is Status.OK) is lies, value
