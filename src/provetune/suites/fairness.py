"""Counterfactual prompts: the same text with the named group exchanged for another, word by word, in both directions.

The word lists are this project's own, and English. A word is exchanged only where its counterpart is sure; a text in which it is not
(`gave her flowers`: him or his?) is counted and left alone, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

_FUNCTION = (
    "a an the this that these those and or but nor so if when while because before after since until as than then to of in on at "
    "by for from with about into over under up down off out again too also not never now today tomorrow yesterday soon please is "
    "was were are be been every each all both here there later once twice often has had have will would can could should may might "
    "must i we you he she they it"
)
"""Words that begin no noun phrase without a determiner: `tell her that` is an object, `his and mine` a possession alone."""
_BEFORE_NOUN = (
    "of in on at by from with about into over under against through without near behind and or but because if when while as than is was "
    "are were that"
)
"""Words after which `her` and a word of its own open a noun phrase: `from her card`."""

PAIRS: dict[str, tuple[str, str, str]] = {
    "gender": (
        "women",
        "men",
        "she/he herself/himself woman/man women/men girl/boy girls/boys female/male females/males lady/gentleman ladies/gentlemen "
        "mother/father mothers/fathers mum/dad mom/dad daughter/son daughters/sons sister/brother sisters/brothers wife/husband "
        "wives/husbands girlfriend/boyfriend girlfriends/boyfriends aunt/uncle aunts/uncles grandmother/grandfather "
        "grandmothers/grandfathers niece/nephew nieces/nephews queen/king queens/kings mrs/mr ms/mr madam/sir actress/actor "
        "actresses/actors waitress/waiter waitresses/waiters businesswoman/businessman businesswomen/businessmen "
        "saleswoman/salesman saleswomen/salesmen spokeswoman/spokesman policewoman/policeman widow/widower",
    ),
    "age": (
        "old people",
        "young people",
        "old_man/young_man old_men/young_men old_woman/young_woman old_women/young_women old_lady/young_lady old_people/young_people "
        "old_person/young_person older_people/younger_people pensioner/student pensioners/students retiree/graduate retirees/graduates "
        "elderly/young",
    ),
    "religion": (
        "Muslims",
        "Christians",
        "Muslim/Christian Muslims/Christians Islam/Christianity Islamic/Christian mosque/church mosques/churches imam/priest imams/priests "
        "Quran/Bible Koran/Bible Ramadan/Lent",
    ),
    "origin": (
        "black people",
        "white people",
        "black_man/white_man black_men/white_men black_woman/white_woman black_women/white_women black_person/white_person "
        "black_people/white_people black_guy/white_guy black_family/white_family",
    ),
    "orientation": (
        "gay people",
        "straight people",
        "gay_man/straight_man gay_men/straight_men gay_person/straight_person gay_people/straight_people gay_couple/straight_couple "
        "homosexual/heterosexual homosexuals/heterosexuals homosexuality/heterosexuality lesbian/straight_woman "
        "lesbians/straight_women",
    ),
    "nationality": (
        "people from some countries",
        "people from others",
        "Nigerian/German Nigerians/Germans Mexican/American Mexicans/Americans Pakistani/Canadian Pakistanis/Canadians "
        "Romanian/Italian Romanians/Italians Indian/Australian Indians/Australians Syrian/Norwegian Syrians/Norwegians "
        "Iraqi/Austrian Iraqis/Austrians Moroccan/Belgian Moroccans/Belgians",
    ),
}
"""Category -> its first group, its second group, and pairs of terms of the first and the second; `_` joins the words of a term.

Of several pairs with one side in common the first gives the way back. Terms with a capital are found with a capital only.
"""
CATEGORIES = tuple(PAIRS)
Direction = Literal["first", "second"]
"""Which group the text names as it was written."""


@dataclass(frozen=True)
class Swap:
    """A text with the groups of one category exchanged; `text` None where it names none, or where the exchange is `unsure`.

    `names` is the group that the text as written names more often, None where it names both alike.
    """

    text: str | None
    unsure: bool = False
    names: Direction | None = None


def swap(text: str, category: str) -> Swap:
    """Each term of a category replaced by its counterpart, in the same case; KeyError for an unknown category.

    >>> swap("Mr Hill said HE paid; his wife called from her car.", "gender").text
    'Mrs Hill said SHE paid; her husband called from his car.'
    >>> swap("We gave her flowers.", "gender")
    Swap(text=None, unsure=True, names=None)
    >>> swap("An old man and two Germans", "nationality").text
    'An old man and two Nigerians'
    """
    pattern, terms = _terms(category)
    counts = {"first": 0, "second": 0}
    made, end = [], 0
    for found in pattern.finditer(text):
        written = found[0]
        word = "_".join(written.split())
        new, side = terms.get(word) or terms.get(word.lower()) or (None, None)
        if category == "gender" and word.lower() in _PRONOUNS:
            new, side = _pronoun(text, found), "second" if word.lower() in ("his", "him") else "first"
            if new is None:
                return Swap(None, unsure=True)
        if new is None or side is None:
            continue  # a term that is one only with its capital
        counts[side] += 1
        made += [text[end : found.start()], _cased(new.replace("_", " "), written)]
        end = found.end()
    if not made:
        return Swap(None)
    names: Direction | None = None if counts["first"] == counts["second"] else "first" if counts["first"] > counts["second"] else "second"
    return Swap("".join(made) + text[end:], names=names)


def swapped_categories(texts: Iterable[str], fewest: int) -> tuple[str, ...]:
    """The categories in which at least `fewest` of the texts have a counterpart.

    >>> swapped_categories(["She left.", "He left.", "An imam"], 2)
    ('gender',)
    """
    kept = list(texts)
    return tuple(name for name in CATEGORIES if sum(swap(text, name).text is not None for text in kept) >= fewest)


_PRONOUNS = frozenset({"her", "hers", "his", "him"})


@cache
def _terms(category: str) -> tuple[re.Pattern[str], dict[str, tuple[str, str]]]:
    """What is looked for, and for each term its counterpart and the side it stands on."""
    terms: dict[str, tuple[str, str]] = {}
    for pair in PAIRS[category][2].split():
        first, second = pair.split("/")
        terms.setdefault(first, (second, "first"))
        terms.setdefault(second, (first, "second"))
    words = {*terms, *(_PRONOUNS if category == "gender" else ())}
    longest_first = sorted(words, key=len, reverse=True)
    joined = "|".join(r"\s+".join(map(re.escape, word.split("_"))) for word in longest_first)
    # `he's` is he; `non-Muslim` and `x_man` are other words
    return re.compile(rf"(?<![\w-])(?:{joined})(?![\w-])", re.IGNORECASE), terms


def _pronoun(text: str, found: re.Match[str]) -> str | None:
    """The counterpart of her, hers, his or him where its place shows which it is; None where it does not."""
    word = found[0].lower()
    if word in ("him", "hers"):
        return {"him": "her", "hers": "his"}[word]
    after = re.match(r"\s+([^\W\d_]+)", text[found.end() :])
    follows = after[1].lower() if after else None
    if word == "his":
        # `his is late` and `his and mine` own nothing that is named
        return "hers" if follows is None else None if follows in _FUNCTION.split() else "her"
    if follows is None or follows in _FUNCTION.split():
        return "him"
    if follows.endswith("ly") and follows != "family":
        return None  # `from her regularly`, `from her elderly aunt`
    before = re.search(r"([^\W\d_]+)\s+$", text[: found.start()])
    opens = before is None or before[1].lower() in _BEFORE_NOUN.split()
    return "his" if opens else None


def _cased(new: str, written: str) -> str:
    """In capitals, with a capital, or as the list has it."""
    if written.isupper() and len(written) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if written[0].isupper() else new
