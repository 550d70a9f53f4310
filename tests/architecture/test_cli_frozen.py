"""The command line is a promise: its verbs and options equal the committed list.

A wanted change is committed with the new list: `python -m tests.architecture.test_cli_frozen > tests/architecture/cli.txt`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import typer.core
import typer.main

COMMITTED = Path(__file__).with_name("cli.txt")


def lines_of(command: typer.core.TyperGroup | typer.core.TyperCommand, path: str) -> Iterator[str]:
    """`verb`, `verb ARGUMENT` and `verb --option` of a command and all below it."""
    yield path
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield f"{path} {(parameter.name or '?').upper()}"
        else:
            yield f"{path} {'/'.join([*parameter.opts, *parameter.secondary_opts])}"
    if isinstance(command, typer.core.TyperGroup):
        for name, below in command.commands.items():
            assert isinstance(below, typer.core.TyperGroup | typer.core.TyperCommand)
            yield from lines_of(below, f"{path} {name}")


def current() -> list[str]:
    from provetune.cli import app

    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup), "the command line has one verb per step"
    shell_completion = ("--install-completion", "--show-completion")
    return sorted(line for line in lines_of(root, "provetune") if not line.endswith(shell_completion))


def test_verbs_and_options_are_the_committed_ones() -> None:
    committed = COMMITTED.read_text(encoding="utf-8").splitlines() if COMMITTED.exists() else []
    found = current()
    difference = "\n".join(difflib.unified_diff(committed, found, "committed", "found", lineterm="", n=0))
    assert found == committed, f"the command line changed:\n{difference}\n\nthe whole new list for {COMMITTED.name}:\n" + "\n".join(found)


def test_the_list_sees_arguments_flags_and_nested_verbs() -> None:
    app, registry = typer.Typer(), typer.Typer()

    @app.command()
    def audit(file: str, deep: bool = False) -> None: ...

    @registry.command("list")
    def _list(limit: int = 3) -> None: ...

    app.add_typer(registry, name="registry")
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    found = list(lines_of(root, "p"))
    assert {"p audit FILE", "p audit --deep/--no-deep", "p registry list --limit"} <= set(found)


if __name__ == "__main__":
    sys.stdout.write("\n".join(current()) + "\n")
