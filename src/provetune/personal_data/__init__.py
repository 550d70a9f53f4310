"""Personal data and secrets in texts, told by their form; and how to mask them.

Names, postal addresses and whatever else only a reader recognises are not looked for; a `Recogniser` of one's own may stand beside
the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from provetune.errors import SpecError
from provetune.personal_data.forms import FORMS
from provetune.personal_data.secrets import SECRETS, assigned

__all__ = ["KINDS", "NOT_LOOKED_FOR", "Hit", "Recogniser", "checked", "find", "find_secrets", "masked"]

KINDS = tuple(FORMS)
"""Kinds that can be found, the most certain first: where two overlap, the first is kept."""
NOT_LOOKED_FOR = "Names and addresses were not looked for."
_SECRET_WORDS = tuple(word for words, _ in SECRETS.values() for word in words)


@dataclass(frozen=True)
class Hit:
    """One piece of personal data or one secret: `text[start:end]`, of a kind."""

    kind: str
    start: int
    end: int

    def overlaps(self, other: Hit) -> bool:
        """Whether the two share a letter."""
        return self.start < other.end and other.start < self.end


class Recogniser(Protocol):
    """Finds what patterns cannot, such as names: an adapter of a model of one's own."""

    @property
    def looks_for(self) -> str:
        """What it finds, and with which model, in words."""
        ...

    def find(self, text: str) -> Sequence[Hit]:
        """Every piece found in a text."""
        ...


def find(text: str, kinds: Sequence[str] = ()) -> list[Hit]:
    """Personal data of the given kinds (all, if none is given) in the order of the text, without overlaps.

    Raises SpecError for an unknown kind.

    >>> [(hit.kind, hit.start) for hit in find("Mail jo@example.org or call +49 30 1234567")]
    [('email', 5), ('phone', 28)]
    """
    found: list[Hit] = []
    hinted: dict[re.Pattern[str], bool] = {}
    for name in checked(kinds):
        form = FORMS[name]
        if form.hint not in hinted:
            hinted[form.hint] = form.hint.search(text) is not None
        if hinted[form.hint]:
            for match in form.pattern.finditer(text):
                hit = Hit(name, match.start(), match.end())
                if form.valid(text, match) and not any(map(hit.overlaps, found)):
                    found.append(hit)
    return sorted(found, key=lambda hit: hit.start)


def checked(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds to look for, in order of certainty; all where none is named. Raises SpecError for an unknown one."""
    unknown = [kind for kind in kinds if kind not in FORMS]
    if unknown:
        raise SpecError(f"data.pii.kinds names {unknown[0]!r}; known are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if not kinds or kind in kinds)


def find_secrets(text: str) -> list[Hit]:
    """Keys, tokens and passwords that give access to something, in the order of the text.

    >>> [hit.kind for hit in find_secrets("password = 'kX9vT2qLm8Zr4'")]
    ['password']
    """
    found: list[Hit] = []
    if any(word in text for word in _SECRET_WORDS):
        found = [
            Hit(name, match.start(), match.end())
            for name, (words, pattern) in SECRETS.items()
            if any(word in text for word in words)
            for match in pattern.finditer(text)
        ]
    for start, end in assigned(text):
        hit = Hit("password", start, end)
        if not any(map(hit.overlaps, found)):
            found.append(hit)
    return sorted(found, key=lambda hit: hit.start)


def masked(text: str, hits: Sequence[Hit]) -> str:
    """The text with each hit replaced by its kind.

    >>> text = "Mail jo@example.org"
    >>> masked(text, find(text))
    'Mail [EMAIL]'
    """
    for hit in sorted(hits, key=lambda hit: -hit.start):
        text = f"{text[: hit.start]}[{hit.kind.upper()}]{text[hit.end :]}"
    return text
