"""Questions on a terminal; elsewhere the best guess is taken, and said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from provetune.cli.session import Session

MOST_QUESTIONS = 3


def asker(session: Session) -> Callable[[str, Sequence[str], str], str]:
    """Asks the user on a terminal, at most three times; without one answers with the best guess and warns of it."""
    asked: list[str] = []

    def ask(question: str, choices: Sequence[str], guess: str) -> str:
        interactive = sys.stdin.isatty() and sys.stderr.isatty() and session.format == "human"
        if not interactive or len(asked) >= MOST_QUESTIONS:
            session.warn(f"{question} Guessed {guess!r} of {', '.join(choices)}; correct it in provetune.yaml if it is wrong")
            return guess
        asked.append(question)
        return _answer(question, choices, guess)

    return ask


def _answer(question: str, choices: Sequence[str], guess: str) -> str:
    while True:
        print(f"{question} [{', '.join(choices)}] ({guess}): ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return guess
        matches = [choice for choice in choices if choice.casefold() == line.strip().casefold()]
        if matches:
            return matches[0]
        print(f"found {line.strip()!r}, wanted one of these", file=sys.stderr)
