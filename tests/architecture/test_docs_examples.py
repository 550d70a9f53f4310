"""Every Python example of README.md and docs/ runs and gives what it shows; the blocks of a page one after the other, as typed."""

from __future__ import annotations

import doctest
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import PACKAGE, ROOT
from tests.architecture.test_docs_commands import Block, blocks_of, page_id, pages

API = ROOT / "docs" / "api.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(page: Path) -> list[Block]:
    """Python blocks that are not written to a file: those run as commands."""
    return [block for block in blocks_of(page.read_text(encoding="utf-8")) if block.tag == "python" and not block.file]


PAGES = [page for page in pages() if examples(page)]


def failures(blocks: list[Block]) -> str:
    """What the examples gave where it differs from what is shown; they share one namespace."""
    names: dict[str, Any] = {}
    said = io.StringIO()
    for block in blocks:
        test = doctest.DocTestParser().get_doctest("\n".join(block.lines) + "\n", names, "page", None, block.line)
        assert test.examples, f"line {block.line}: a python block without >>>"
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write, clear_globs=False)
        names = test.globs
    return said.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the pages work in: the packaged example project as `tickets`."""
    shutil.copytree(PACKAGE / "examples_data" / "support_tickets", tmp_path / "tickets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pages_with_examples_are_found() -> None:
    assert API in PAGES and len(PAGES) > 2


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_fast_examples_run(page: Path, folder: Path) -> None:
    said = failures([block for block in examples(page) if not block.slow])
    assert not said, said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT reads it of transformers
def test_the_slow_examples_run(folder: Path) -> None:
    said = failures(examples(API))
    assert not said, said


def test_each_public_name_is_used_below_its_heading() -> None:
    sections = re.split(r"^## `(\w+)", API.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for name, text in zip(sections[::2], sections[1::2], strict=True):
        code = "\n".join("\n".join(block.lines) for block in blocks_of(text) if block.tag == "python")
        assert re.search(rf"\b{name}\b", code), f"docs/api.md: no example of {name}"


def test_a_wrong_example_is_reported() -> None:
    assert "Expected:\n    3\nGot:\n    2" in failures([Block("python", (">>> one = 1",), 1), Block("python", (">>> one + 1", "3"), 3)])
