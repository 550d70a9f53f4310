"""What of a text is compared: words, without what only dates or numbers it."""

from __future__ import annotations

import re
from functools import lru_cache

from provetune.similarity import normalise

MASKS = 1
"""Version of the masks; a reference made under another one is not comparable."""
LONGEST = 20_000
"""Characters of a text that are read."""
_WORDS = 1_000

_MASKED = re.compile(
    r"""https?://\S+|www\.\S+                                    # links
    |\S+@\S+\.\w+                                                # addresses
    |\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-\w+       # UUIDs
    |\b(?=\w*\d)\w+(?:[.,:/-]\w+)*                               # numbers, ids, versions, dates, times: words with a digit
    |\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?
      |(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|satur|sun)day)\b  # months and days of the week
    |\[[A-Z_]+\]|<[A-Z_]+>                                       # what redaction left""",
    re.VERBOSE | re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


def masked(text: str) -> str:
    """The text with links, addresses, numbers, ids, months and weekdays taken out, at most `LONGEST` characters of it.

    >>> masked("Order 8231-AX of 3 May: see https://shop.example/o?id=7 please")
    'Order   of    : see   please'
    """
    return _MASKED.sub(" ", text[:LONGEST])


@lru_cache(maxsize=50_000)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, masked; pairs of signs where a script sets no spaces.

    >>> words_of("My card A77 isn't working"), words_of("カードを")
    (('my', 'card', 'isn', 'working'), ('カー', 'ード', 'ドを'))
    """
    found: list[str] = []
    for word in _WORD.findall(masked(text).lower())[:_WORDS]:
        if _UNSPACED.match(word):
            found += [word[place : place + 2] for place in range(len(word) - 1)]
        else:
            found.append(word)
    return tuple(found)


def sameness(text: str) -> str:
    """Two texts with the same value are one request sent twice.

    >>> sameness("Where is order 17?") == sameness("where is order 4,711")
    True
    """
    return normalise(masked(text))
