"""Output that a page shows below a command is printed by that command: every shown line, in any place of its output."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_docs_commands import SECONDS, WANTED_EXIT, Block, blocks_of, environment, page_id, pages, prepared


def sessions(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown below it."""
    command, shown = "", list[str]()
    for line in (*block.lines, "$ "):
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        elif command.endswith("\\"):
            command += "\n" + line
        elif line.strip():
            shown.append(line)


def fast_sessions(page: Path) -> list[Block]:
    return [block for block in blocks_of(page.read_text(encoding="utf-8")) if not block.slow and (block.file or block.tag == "console")]


def shows_output(page: Path) -> bool:
    return any(shown for block in fast_sessions(page) if block.tag == "console" for _, shown in sessions(block))


PAGES = [page for page in pages() if shows_output(page)]


def missing_lines(blocks: list[Block], folder: Path) -> list[str]:
    """Shown lines that the command did not print; `cd` does not occur on pages that show output."""
    missing = []
    for block in blocks:
        if block.file:
            (folder / block.file).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        for command, shown in sessions(block) if block.tag == "console" else ():
            words = ["bash", "-c", WANTED_EXIT.sub("", command)]
            done = subprocess.run(
                words,
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            printed = {line.rstrip() for line in (done.stdout + "\n" + done.stderr).splitlines()}
            missing += [f"`{command}` does not print: {line}" for line in shown if line.rstrip() not in printed]
    return missing


def test_pages_that_show_output_are_found() -> None:
    assert {"README.md", "docs/tutorial.md"} <= {page_id(page) for page in PAGES}


@pytest.mark.slow  # the commands themselves run in test_docs_commands.py
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_shown_output_is_printed(page: Path, tmp_path: Path) -> None:
    missing = missing_lines(fast_sessions(page), prepared(tmp_path))
    assert not missing, "\n".join([page_id(page), *missing])


def test_output_that_is_not_printed_is_reported(tmp_path: Path) -> None:
    block = Block("console", ("$ echo one && echo \\", "two", "one", "two", "$ echo three >&2", "three", "four"), 1)
    assert missing_lines([block], tmp_path) == ["`echo three >&2` does not print: four"]
