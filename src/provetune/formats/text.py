"""Reading a file as UTF-8 text, and saying where it is not and what it may be."""

from __future__ import annotations

import difflib
import io
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from provetune.errors import DataError

# A character beyond U+FFFF, written as two encoded surrogates (CESU-8, Java's modified UTF-8), and what mends it.
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_WINDOWS = re.compile(rb"[\x80-\x9f]")
_JOIN_SURROGATES = (
    "import sys; t = sys.stdin.buffer.read().decode('utf-8', 'surrogatepass'); "
    "sys.stdout.buffer.write(t.encode('utf-16', 'surrogatepass').decode('utf-16').encode())"
)


def read_text(path: Path) -> str:
    """The whole file as text; a byte order mark is dropped, line ends stay as they are.

    Raises DataError when the file is missing, a folder, unreadable, empty or blank, holds a NUL byte, or is not UTF-8;
    the last two name the line and the byte offset (from 0, in the file) of the first bad byte.
    """
    raw = _read_bytes(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        start = error.start
        found = f"found byte 0x{raw[start]:02x} at byte offset {start} of the file"
        raise DataError(f"{path}:{_line_at(raw, start)}: not UTF-8: {found}; {_remedy(path, raw, start)}") from None
    if (nul := raw.find(b"\0")) >= 0:
        raise DataError(
            f"{path}:{_line_at(raw, nul)}: found byte 0x00 at byte offset {nul} of the file, wanted text; the file is binary or UTF-16: "
            f"save it as UTF-8, e.g. {_iconv(path, 'utf-16')}"
        )
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{path}: found {len(raw)} bytes and no text, wanted at least one example; export the data again")
    return text


def text_lines(path: Path) -> Iterator[str]:
    """The lines of `physical_lines(read_text(path))`, read as they are asked for; errors as `read_text` raises them."""
    blank = True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in file:
                if "\0" in line:
                    read_text(path)
                blank = blank and not line.strip()
                yield line
    except (UnicodeDecodeError, OSError):
        blank = True
    if blank:
        read_text(path)
        raise DataError(f"{path}: changed while it was read; repeat the command")


def physical_lines(text: str) -> Iterator[str]:
    r"""The lines of `text` with their ends; a line ends at \n, \r\n or \r and nowhere else.

    >>> list(physical_lines("a\r\nb\u2028c\n"))
    ['a\r\n', 'b\u2028c\n']
    """
    return io.StringIO(text, newline="")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A tail for a message that names the closest known word; empty when none is close.

    >>> did_you_mean("Catgory", ["text", "category"])
    "; did you mean 'category'?"
    """
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[close[0]]!r}?" if close else ""


def quoted(text: str, most: int = 60) -> str:
    """A text of the file in quotes, cut where it is long.

    >>> quoted("x" * 100, most=3)
    "'xxx...'"
    """
    return repr(text if len(text) <= most else f"{text[:most]}...")


def listed(names: Iterable[str], most: int = 30) -> str:
    """Names of the file with commas, cut where they are many or long.

    >>> listed(["a", "b", "c"], most=2), listed([])
    ('a, b, ... (3 in all)', 'none')
    """
    known = [name if len(name) <= 60 else f"{name[:60]}..." for name in names]
    return ", ".join(known if len(known) <= most else [*known[:most], f"... ({len(known):,} in all)"]) or "none"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: found no such file, wanted a file of examples; check the name (data.path in a project file)") from None
    except IsADirectoryError:
        raise DataError(f"{path}: found a folder, wanted a file of examples; name one file in it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the file and its permissions") from None


def _line_at(raw: bytes, offset: int) -> int:
    """Physical line of a byte; everything before it must be valid UTF-8."""
    before = raw[:offset].decode("utf-8")
    return before.count("\n") + before.count("\r") - before.count("\r\n") + 1


def _remedy(path: Path, raw: bytes, offset: int) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"the file is UTF-16; save it as UTF-8, e.g. {_iconv(path, 'utf-16')}"
    if _SURROGATES.match(raw, offset):
        name = shlex.quote(str(path))
        command = f'`python3 -c "{_JOIN_SURROGATES}" < {name} > {name}.utf8`'
        return f"a character is written as two surrogates, so the file is CESU-8; save it as UTF-8, e.g. {command}"
    encoding = _likely_encoding(raw)
    known = (
        "cp1252, the encoding of Windows" if encoding == "cp1252" else "Latin-1 or another old encoding; look at the letters beyond ASCII"
    )
    return f"save it as UTF-8, e.g. {_iconv(path, encoding)} (it may be {known})"


def _likely_encoding(raw: bytes) -> str:
    """`cp1252` where bytes stand that are letters or quotes there and control characters in Latin-1, and all bytes have a meaning."""
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin1"
    return "cp1252" if _WINDOWS.search(raw) else "latin1"


def _iconv(path: Path, encoding: str) -> str:
    name = shlex.quote(str(path))
    return f"`iconv -f {encoding} -t utf-8 {name} > {name}.utf8`"
