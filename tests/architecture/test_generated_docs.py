"""The reference pages say what the code says: keys of the project file, help texts, exit codes, verbs."""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from types import ModuleType

import pytest

from provetune import errors
from tests.architecture.source import ROOT


def script() -> ModuleType:
    """scripts/make_docs.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["make_docs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = script()
KEYS_PAGE, CLI_PAGE, DOCS = made.KEYS_PAGE, made.CLI_PAGE, made.DOCS
REMAKE = "run `python scripts/make_docs.py`"


def test_the_examples_of_the_script_run() -> None:
    assert doctest.testmod(made) == (0, 1)


def test_the_table_of_keys_is_the_schema() -> None:
    page = KEYS_PAGE.read_text(encoding="utf-8")
    assert len(list(made.available_keys())) > 30
    assert made.with_table(page) == page, REMAKE


def test_every_key_has_a_meaning() -> None:
    meanings = {row["key"]: row["meaning"].strip() for row in made.ROW.finditer(KEYS_PAGE.read_text(encoding="utf-8"))}
    missing = [key.path for key in made.available_keys() if not meanings.get(key.path)]
    assert not missing, f"docs/project-file.md says nothing about {missing}"


def test_the_table_loses_a_key_that_is_gone_and_keeps_the_words() -> None:
    page = KEYS_PAGE.read_text(encoding="utf-8")
    old = page.replace("|---|---|---|---|\n", "|---|---|---|---|\n| `no.such_key` | text | none | gone |\n", 1)
    assert old != page and made.with_table(old) == page
    with pytest.raises(ValueError, match="found 0 tables"):
        made.with_table("no table here")


def test_the_table_of_licences_is_that_of_the_package() -> None:
    page = (DOCS / "bases.md").read_text(encoding="utf-8")
    assert made.with_licences(page) == page, REMAKE
    with pytest.raises(ValueError, match="found 0 tables"):
        made.with_licences("no table here")


def test_every_verb_shows_its_help() -> None:
    page = CLI_PAGE.read_text(encoding="utf-8")
    assert {match["verb"] for match in made.HELP.finditer(page)} == set(made.help_texts())
    assert made.with_help(page) == page, REMAKE


def test_a_missing_verb_and_a_stale_text_are_mended() -> None:
    texts = made.help_texts()
    page = made.with_help("# Verbs\n<!-- help: provetune -->\n```text\nstale\n```\n<!-- help: gone -->\n```text\nstale\n```\n")
    assert "stale" not in page and {match["verb"] for match in made.HELP.finditer(page)} == set(texts)


def test_the_table_of_verbs_and_steps_names_every_verb() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", CLI_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(rows) == set(made.help_texts()) - {"provetune"}


def exit_codes_of(page: str) -> set[int]:
    return {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}


def test_exit_codes_of_all_errors_are_documented() -> None:
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ProvetuneError)}
    page = exit_codes_of((DOCS / "exit-codes.md").read_text(encoding="utf-8"))
    assert raised | {0, 2, 3, 4, 130} <= page
    assert exit_codes_of((ROOT / "README.md").read_text(encoding="utf-8")) == page


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.name != "index.md"]
    assert len(pages) > 10
    missing = [page for page in pages if f"]({page})" not in index]
    assert not missing, f"docs/index.md has no link to {missing}"
