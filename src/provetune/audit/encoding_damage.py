"""Text that was written in one encoding and read in another."""

from __future__ import annotations

import re

from provetune.audit.inputs import AuditInput, counted, part_text
from provetune.records.data import Finding

# UTF-8 read as Windows-1252 or Latin-1: the first byte of a character from Latin, Greek, Cyrillic, punctuation or emoji shows as one
# of the letters in front, each further byte (0x80 to 0xBF) as a control character, a sign, or one of the marks of Windows-1252.
# Before a mark that may be a quotation mark or dots ("Ä“", "Å…") one letter proves nothing, several do.
_FURTHER = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_CERTAIN = "[\x80-\xaa\xac-\xba\xbc-\xbf€ƒ†‡ˆ‰ŠŒŽ˜™šœžŸ]"
_DAMAGED = re.compile(f"(?:[ÂÃ]{_FURTHER}|[âã]{_FURTHER}{{2}}|ð{_FURTHER}{{3}}|(?:[ÄÅÎÏÐÑ]{_FURTHER}){{2,}}|[ÄÅÎÏÐÑ]{_CERTAIN})+")


def mended(text: str) -> str | None:
    """What a damaged stretch said; None where it is no such damage.

    >>> mended("FranÃ§ois"), mended("François")
    ('François', None)
    """
    found = _DAMAGED.sub(lambda match: _read_again(match[0]) or match[0], text)
    return found if found != text else None


def _read_again(text: str) -> str | None:
    try:
        return b"".join(_byte(letter) for letter in text).decode("utf-8")
    except UnicodeError:
        return None


def _byte(letter: str) -> bytes:
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:
        return letter.encode("latin-1")


def encoding_damage(inputs: AuditInput) -> list[Finding]:
    """A warning for rows with letters such as `Ã©` that were one letter once, with the first case mended."""
    places, example_of = [], ""
    for place, example in enumerate(inputs.examples):
        for message in example.messages:
            damaged = None if message.content.isascii() else _DAMAGED.search(message.content)
            if damaged and (read := _read_again(damaged[0])) is not None:
                places.append(place)
                example_of = example_of or f"{damaged[0]!r} was {read!r}"
                break
    if not places:
        return []
    return [
        Finding(
            check="encoding_damage",
            severity="warning",
            message=f"{part_text(inputs, len(places))} hold text that was written as UTF-8 and read as something else: {example_of}.",
            threshold=0.0,
            remedy="Export the file again as UTF-8 from where the text is still whole; else the model learns to write these signs.",
            **counted(inputs, places),
        )
    ]
