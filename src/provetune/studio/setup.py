"""A new project from a file: what the file does not say is asked one question at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.workflow.start import Started, Wish, start_project


@dataclass(eq=False)
class Question(Exception):  # noqa: N818 (it is thrown to leave the reading, and is no fault)
    """What has to be asked: the number of the question, its words, the choices, the best guess."""

    number: int
    words: str
    choices: tuple[str, ...]
    guess: str


def set_up(folder: Path, file: Path, answers: Mapping[str, str]) -> Started | Question:
    """Write the project file, or return the first question that `answers` (`answer0`, `answer1`, ...) leave open.

    Raises what `start_project` raises.
    """
    asked = iter(range(100))

    def ask(words: str, choices: Sequence[str], guess: str) -> str:
        number = next(asked)
        given = answers.get(f"answer{number}")
        if given is None or given not in choices:
            raise Question(number, words, tuple(choices), guess)
        return given

    wish = Wish(file, name=folder.name, base=answers.get("base", "").strip() or "starter")
    try:
        return start_project(folder, wish, ask)
    except Question as question:
        return question
