"""What the product says about a word that is not allowed: where it belongs, or what was meant."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from inkmill.errors import FormError, UsageError
from inkmill.suggestions import misplaced, words_of
from inkmill.template.form import Form
from inkmill.trainer.config import Config
from tests.unit.sheets import FORMS

TALLY = (FORMS / "tally.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [Form, Config])
def test_no_word_is_ever_suggested_for_itself(model: type[BaseModel]) -> None:
    words = words_of(model)
    everything = {word for allowed in words.values() for word in allowed}
    assert len(words) > 5
    for place, allowed in words.items():
        for word in everything - allowed:
            hint = misplaced(word, place, words)
            assert f"did you mean {word!r}" not in hint
            assert hint, "every word is at home somewhere"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("registration:", "registration:\n  odd: {at: [30, 12]}", "belongs in registration.marks"),
        ("page:", "labels: [a, b]\npage:", "it belongs in fields or in tables.columns"),
        ("registration:", "registration:\n  cdoe: {}", "did you mean 'code'?"),
        ("page:", "unsued: leading\npage:", "did you mean 'unused'?"),
        ("checks:", "checks: {sum: [a], equals: b}\nchecks_:", "is a list: begin each"),
    ],
)
def test_a_template_says_where_a_word_belongs(right: str, wrong: str, said: str) -> None:
    assert right in TALLY
    with pytest.raises(FormError, match=said):
        Form.parse(TALLY.replace(right, wrong, 1))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"steps": 5}, r"steps: no such key: it belongs in training"),
        ({"sources": {"kind": "idx"}}, r"sources: there may be several: write \[\[sources\]\]"),
        ({"training": {"setps": 5}}, r"training.setps: no such key: did you mean 'steps'"),
    ],
)
def test_a_training_config_says_where_a_word_belongs(config: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Config.parse(config, "config.toml")
