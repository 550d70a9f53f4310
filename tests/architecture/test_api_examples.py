"""Every example of docs/api.md runs and gives what it shows; one block after the other, as a reader would type them."""

from __future__ import annotations

import doctest
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import PACKAGE, ROOT
from tests.architecture.test_docs_commands import Block, blocks_of

PAGE = ROOT / "docs" / "api.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(*, slow: bool) -> list[Block]:
    blocks = blocks_of(PAGE.read_text(encoding="utf-8"))
    return [block for block in blocks if block.tag == "python" and (slow or not block.slow)]


def failures(blocks: list[Block]) -> str:
    """What the examples gave where it differs from what is shown; they share one namespace."""
    names: dict[str, Any] = {}
    said = io.StringIO()
    for block in blocks:
        test = doctest.DocTestParser().get_doctest("\n".join(block.lines) + "\n", names, PAGE.name, str(PAGE), block.line)
        assert test.examples, f"line {block.line}: a python block without >>>"
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write, clear_globs=False)
        names = test.globs
    return said.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the page works in: the packaged example project as `tickets`."""
    shutil.copytree(PACKAGE / "examples_data" / "support_tickets", tmp_path / "tickets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_fast_examples_run(folder: Path) -> None:
    assert not (said := failures(examples(slow=False))), said


@pytest.mark.slow
def test_all_examples_run(folder: Path) -> None:
    assert not (said := failures(examples(slow=True))), said


def test_each_public_name_is_used_below_its_heading() -> None:
    sections = re.split(r"^## `(\w+)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        code = "\n".join("\n".join(block.lines) for block in blocks_of(text) if block.tag == "python")
        assert re.search(rf"\b{name}\b", code), f"docs/api.md: no example of {name}"


def test_a_wrong_example_is_reported() -> None:
    assert "Expected:\n    3\nGot:\n    2" in failures([Block("python", (">>> one = 1",), 1), Block("python", (">>> one + 1", "3"), 3)])
