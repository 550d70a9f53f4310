"""Made-up content: names, numbers and fields that the prompt does not support, and answers where none can be given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.classification import balanced_accuracy
from provetune.metrics.structure import parsed

_NUMBER = re.compile(r"(?<![a-zA-Z0-9_])(?<!\d[.,])[-+]?\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_ABSTAINS = re.compile(
    r"\b(?:i (?:do not|don't|cannot|can't|can not) (?:know|tell|answer|say|find|determine)|i(?:'m| am) not (?:sure|able)"
    r"|(?:cannot|can't|can not) be (?:answered|determined|known)|not (?:stated|mentioned|specified|given|enough information|answerable)"
    r"|no (?:answer|information)|unanswerable)\b"
)
_NOTHING = ("unknown", "n/a", "none", "null", "-", "unclear")
_NO = ("false", "no", "0")


def claims(completion: str) -> Iterator[str]:
    """What a completion states that a prompt can support: the values of a JSON object or list, else its numbers and names.

    A name is a word with a capital letter that does not open a sentence; scripts without capitals have none.

    >>> list(claims("He paid 1,200 euros to Anna Weber. Nobody saw it."))
    ['1,200', 'Anna', 'Weber']
    """
    value, whole = parsed(completion)
    if whole and isinstance(value, dict | list):
        yield from _values(value)
        return
    yield from _NUMBER.findall(completion)
    for sentence in _SENTENCE.split(completion):
        words = _WORD.findall(sentence)
        yield from (word for word in words[1:] if word[0].isupper() and len(word) > 1)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _values(inner)
    elif value is not None and not isinstance(value, bool) and _plain(str(value)):
        yield str(value)


def unsupported(prompt: str, completion: str) -> list[str]:
    """The claims of a completion that its prompt does not hold, up to case, spaces and commas between thousands.

    It sees what is stated in other words than the prompt's as unsupported, and nothing of a wrong relation between words that are
    all there.

    >>> unsupported("Anna Weber paid 1200 euros.", "Yesterday Anna paid 1,200 euros to Carl.")
    ['Carl']
    """
    words = _plain(prompt)
    single = set(words.split())
    known = {_figure(number) for number in _NUMBER.findall(prompt)}
    found = []
    for claim in claims(completion):
        plain = _plain(claim)
        said = plain in single or (" " in plain and f" {plain} " in f" {words} ")
        if not (_figure(claim) in known if _NUMBER.fullmatch(claim) else said):
            found.append(claim)
    return found


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _figure(number: str) -> str:
    """One writing of a number: no thousands separators, no plus, no zeros that say nothing."""
    plain = re.sub(r"[,.](?=\d{3}(?:\D|$))", "", number.lstrip("+")).replace(",", ".")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return re.sub(r"^(-?)0+(?=\d)", r"\1", plain)


def _grounded(row: Row) -> tuple[float, ...]:
    """Share of the claims that the prompt supports, claims, unsupported ones; no claim is nothing made up, no text is no answer."""
    if not row.completion.strip():
        return (0.0, 0.0, 0.0)
    stated = len(list(claims(row.completion)))
    wrong = len(unsupported(row.prompt, row.completion))
    return (1 - wrong / stated if stated else 1.0, float(stated), float(wrong))


def abstains(completion: str) -> bool:
    """Whether a text says, in common English words, that it gives no answer; an empty text says nothing.

    >>> abstains("I don't know."), abstains("The text says 7."), abstains("")
    (True, False, False)
    """
    said = completion[:400].lower().replace("’", "'").strip()
    return said.rstrip(".!") in _NOTHING or bool(_ABSTAINS.search(said))


def _abstention(row: Row) -> tuple[float, ...] | None:
    """Whether it should abstain (0, 1) and whether it does; -1 where nothing was written. The row's own target counts as abstaining."""
    mark = row.meta.get("answerable")
    if mark is None:
        return None
    unanswerable = str(mark).strip().lower() in _NO
    if not row.completion.strip():
        return (float(unanswerable), -1.0)
    said = " ".join(row.completion.split()).casefold()
    own = unanswerable and said in {" ".join(text.split()).casefold() for text in row.right_texts}
    return (float(unanswerable), float(own or (abstains(row.completion) and said != " ".join(row.target.split()).casefold())))


def _is_marked(row: Row) -> bool:
    return row.meta.get("answerable") is not None


GROUNDED = Metric("grounded", 1, "mean", _grounded, weighted_mean)
ABSTENTION = Metric("abstention", 1, "corpus", _abstention, balanced_accuracy, needs=frozenset({"answerable"}), applies=_is_marked)
