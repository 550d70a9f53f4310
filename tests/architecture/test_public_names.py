"""The Python surface: at most 25 names, sorted, each real, documented where it lives and in docs/api.md."""

from __future__ import annotations

import inspect
import re

import provetune
from tests.architecture.source import ROOT

AT_MOST = 25


def names() -> list[str]:
    return list(provetune.__all__)


def test_names_are_few_and_sorted() -> None:
    assert 0 < len(names()) <= AT_MOST
    assert names() == sorted(set(names()))
    assert not [name for name in names() if name.startswith("_") and name != "__version__"]


def test_names_exist_and_are_documented_in_place() -> None:
    for name in names():
        value = getattr(provetune, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"provetune.{name} has no docstring"


def test_dir_shows_the_lazy_names() -> None:
    assert set(names()) <= set(dir(provetune))


def test_names_are_documented_in_the_reference() -> None:
    headings = re.findall(r"^#{2,4} `(\w+)", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    documented = [heading for heading in headings if heading != "provetune"]
    assert sorted(documented) == names(), "docs/api.md holds one heading like ## `name` for each public name, and no other"
