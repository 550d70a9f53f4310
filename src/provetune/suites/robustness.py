"""Requests as other people write them: mistyped, in another case, longer, in other words. What is asked stays the same."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from provetune.errors import SpecError
from provetune.hashing import seed_of

REWORD = (
    "Say the message below in other words. Keep what it asks, its language, and every name and number. "
    "Answer with the new message only.\n\n"
)
_BEFORE = (
    "Hello, I hope this is the right place to ask.",
    "Good morning, sorry to bother you.",
    "Hi there, I have looked everywhere and did not find it.",
)
_AFTER = (
    "Thank you for reading all of this, I know that you are busy.",
    "I am looking forward to your answer, whenever you find the time for it.",
    "That is all for now, have a good day and best wishes to everybody.",
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_NUMBER = re.compile(r"\d+")


def typos(text: str, draw: random.Random) -> str:
    """In about one word of five, of four letters or more, two neighbours change places or a letter is lost or doubled.

    The first letter stays, and so do numbers; at least one word changes where there is one.

    >>> typos("My parcel 4711 never arrived", random.Random(1))
    'My prcel 4711 never arrived'
    """
    places = list(_WORD.finditer(text))
    chosen = sorted(draw.sample(range(len(places)), max(1, round(len(places) / 5)))) if places else []
    for place in reversed(chosen):
        word = places[place]
        at = word.start() + draw.randrange(1, len(word[0]) - 1)
        change = draw.choice(("exchange", "lose", "double"))
        if change == "exchange":
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        else:
            text = text[:at] + (text[at] * 2 if change == "double" else "") + text[at + 1 :]
    return text


def other_case(text: str, draw: random.Random) -> str:
    """All in small letters; a text that is so already, all in capitals."""
    return text.lower() if text != text.lower() else text.upper()


def longer(text: str, draw: random.Random) -> str:
    """The text between two English sentences of courtesy that say nothing about the request."""
    return f"{draw.choice(_BEFORE)} {text} {draw.choice(_AFTER)}"


CHANGES: dict[str, Callable[[str, random.Random], str]] = {"typos": typos, "case": other_case, "longer": longer}


def changed(text: str, change: str, name: str) -> str:
    """The text after a change of CHANGES; the same for the same `name`, the example's id."""
    return CHANGES[change](text, random.Random(seed_of("robustness", change, name)))


def is_rewording(before: str, after: str) -> bool:
    """Whether a text can be another in other words: not the same, a third to three times as long, with the same numbers.

    >>> is_rewording("order 12 is late", "where is order 12"), is_rewording("order 12 is late", "my order")
    (True, False)
    """
    alike = sorted(_NUMBER.findall(before)) == sorted(_NUMBER.findall(after)) and before.split() != after.split()
    return alike and len(before) <= 3 * len(after) <= 9 * len(before)


def read_requests(file: Path) -> Sequence[str]:
    """The requests of a text file, one a line, empty lines left out; SpecError where there are none."""
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"prove.robustness.out_of_scope: {file} cannot be read ({error}); wanted a text file, one request a line"
        ) from error
    if not found:
        raise SpecError(f"prove.robustness.out_of_scope: {file} is empty; wanted one request a line")
    return found
