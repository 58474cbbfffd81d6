"""The fault suite patches the product by name: a rename must not switch a fault off unseen."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_HOOKS = Path(__file__).resolve().parents[1] / "faults/hooks/sitecustomize.py"


def load_hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fault_hooks", _HOOKS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAULTS: dict[str, tuple[str, Any]] = load_hooks()._AFTER


def places(module: ModuleType) -> Iterator[Any]:
    """What a fault may patch: the module, its classes, and the modules that it uses."""
    yield module
    for value in vars(module).values():
        if inspect.ismodule(value) or (
            inspect.isclass(value) and value.__module__ == module.__name__
        ):
            yield value


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_patches_what_is_there(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT_PUT", "1")
    name, install = FAULTS[fault]
    module = importlib.import_module(name)
    before = [(place, dict(vars(place))) for place in places(module)]
    install(module)
    patched, unknown = list[str](), list[str]()
    for place, attributes in before:
        for attribute, value in list(vars(place).items()):
            if attributes.get(attribute) is value:
                continue
            patched.append(attribute)
            if attribute in attributes:
                setattr(place, attribute, attributes[attribute])
            else:
                delattr(place, attribute)
                if not hasattr(place, attribute):
                    unknown.append(attribute)
    assert patched
    assert unknown == []
