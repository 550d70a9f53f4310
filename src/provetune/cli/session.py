"""What holds for one call of the command line: the project folder, the form of the output, how much is said."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from provetune.errors import ProvetuneError

Format = Literal["human", "json", "quiet"]
Line = tuple[str, str]
"""A line of text and its style (`bold`, `red`, ... or nothing)."""


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@dataclass
class Session:
    """Filled in by the global options; says what the verbs find."""

    folder: Path = field(default_factory=Path)
    format: Format = "human"
    verbose: bool = False

    def result(self, lines: Sequence[Line], *, document: str, essence: str) -> None:
        """Standard output: `lines` for people, exactly one JSON `document`, or, when quiet, the one line that matters."""
        if self.format == "human":
            _print(lines, errors=False)
        else:
            print(document if self.format == "json" else essence, flush=True)

    def note(self, text: str, style: str = "") -> None:
        """One line on standard error; nothing when quiet."""
        if self.format != "quiet":
            _print([(text, style)], errors=True)

    def warn(self, text: str) -> None:
        """Something that deserves a look and does not stop the flow."""
        self.note(f"warning: {text}", "yellow")

    def failed(self, error: str, message: str, exit_code: int) -> int:
        """The message on standard error and, with JSON, the error's document on standard output; the exit code."""
        _print([(f"error: {message}", "red")], errors=True)
        self.document_error(error, message, exit_code)
        return exit_code

    def document_error(self, error: str, message: str, exit_code: int) -> None:
        """The error's document, with JSON only."""
        if self.format == "json":
            content = {"schema": "provetune.error/1", "error": error, "message": message, "exit_code": exit_code}
            print(json.dumps(content, indent=2, ensure_ascii=False), flush=True)

    def refused(self, error: ProvetuneError) -> int:
        """An error that was raised on purpose."""
        return self.failed(type(error).__name__, str(error), error.exit_code)

    def command(self, words: str) -> str:
        """A command that a person can paste, for the same project folder."""
        here = self.folder.resolve() == Path.cwd()
        return f"`provetune {words}`" if here else f"`provetune -C {shlex.quote(str(self.folder))} {words}`"


def shown_path(path: Path) -> str:
    """The path from the current folder where it lies below it, else the whole path."""
    whole = path.resolve()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def _print(lines: Sequence[Line], *, errors: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from provetune.report.words import visible

    # texts of the user's data stand in the lines: no markup is read from them, and nothing in them can move the cursor
    console = Console(stderr=errors, highlight=False, emoji=False, soft_wrap=True)
    for text, style in lines:
        console.print(Text(visible(text), style=style))
    (sys.stderr if errors else sys.stdout).flush()
