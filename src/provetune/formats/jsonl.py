"""JSON objects, one a line or in one list, strictly read; what the JSON readers share."""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn

from provetune.errors import DataError
from provetune.formats.row import Place, RawRow, raw_row
from provetune.formats.text import did_you_mean, listed, quoted, read_text, text_lines
from provetune.records.data import Message
from provetune.spec import ColumnsSpec

JsonObject = dict[str, Any]
RATED_KEYS = ("kto_tag", "label")
"""Keys whose true or false says whether an answer is desirable (LLaMA-Factory and TRL)."""

_LINE_END = re.compile("\r\n|\r|\n")
_BLANK = re.compile(r"[ \t\r\n]*")


def objects(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Each object with the physical line where it starts, from 1: one a line (blank lines are skipped), or the elements of one list.

    Raises DataError, with `file:line`, on broken JSON, a line or element that is no object, NaN or Infinity, a key given twice, or
    half a surrogate pair.
    """
    first = True
    for number, line in enumerate(text_lines(path), start=1):
        if first and line.lstrip().startswith("["):
            yield from _elements(read_text(path), path)
            return
        if line.strip():
            first = False
            yield number, parse_object(line.rstrip("\r\n"), f"{path}:{number}")


def _elements(text: str, path: Path) -> Iterator[tuple[int, JsonObject]]:
    """The objects of one JSON list, each with the line where it starts."""
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def where(position: int) -> str:
        return f"{path}:{bisect.bisect(starts, position)}"

    position, wanted = _skip_blank(text, text.index("[") + 1), "an object or `]`"
    while not (text.startswith("]", position) and wanted != "an object"):
        start = position
        value, position = _decode(text, start, where(start), "mend the list there")
        yield bisect.bisect(starts, start), _object(value, text[start : start + 100], where(start))
        position = _skip_blank(text, position)
        wanted = "`,` or `]`"
        if text.startswith(",", position):
            position, wanted = _skip_blank(text, position + 1), "an object"
        elif not text.startswith("]", position):
            break
    if not text.startswith("]", position):
        raise DataError(f"{where(position)}: not JSON: found {text[position : position + 20]!r}, wanted {wanted}; mend the list there")
    rest = _skip_blank(text, position + 1)
    if rest < len(text):
        raise DataError(f"{where(rest)}: not JSON: found {text[rest : rest + 20]!r} after the end of the list; remove it")


def _skip_blank(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def parse_object(line: str, where: str, remedy: str = "write one JSON object per line") -> JsonObject:
    """The object on one line; `where` is the `file:line` that a DataError names."""
    start = _skip_blank(line, 0)
    value, end = _decode(line, start, where, remedy)
    end = _skip_blank(line, end)
    if end < len(line):
        raise DataError(f"{where}: not JSON: Extra data at column {end + 1}, near {_excerpt(line, end)}; {remedy}")
    return _object(value, line, where)


def whole_object(path: Path) -> JsonObject:
    """The one object that a file holds. Raises DataError as `objects` does."""
    return parse_object(read_text(path), f"{path}:1", "mend the file there")


def _decode(text: str, start: int, where: str, remedy: str) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        if _HALF_ESCAPE.search(text, start, end):  # an escape can smuggle in half a pair, which no file can hold
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f" of line {error.lineno}" if error.lineno > 1 else ""
        column = f"{error.msg.removesuffix(' at')} at column {error.colno}{line}, near {_excerpt(text, error.pos)}"
        raise DataError(f"{where}: not JSON: {column}; {remedy}") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: found half of a surrogate pair, wanted whole characters; export the file again") from None
    except RecursionError:
        raise DataError(f"{where}: found JSON nested too deeply to read, wanted an example near {_excerpt(text, start)}") from None
    except ValueError as error:
        raise DataError(f"{where}: {error}; {remedy}") from None
    return value, end


def _object(value: Any, text: str, where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise DataError(f"{where}: found {kind(value)}, wanted a JSON object, near {_excerpt(text, 0)}")
    return value


def kind(value: object) -> str:
    """What a JSON value is, in words.

    >>> kind([]), kind(True), kind(7)
    ('a list', 'true', '7')
    """
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


def text_of(row: JsonObject, key: str, *, part: str, where: str) -> str:
    """The text under `key`; DataError when the key is missing, its value is no text, or the text is blank. `part`: prompt or completion."""
    if key not in row:
        raise DataError(
            f"{where}: key {key!r} is missing, found keys {listed(row)}; add it, or name the keys with data.columns{did_you_mean(key, row)}"
        )
    value = row[key]
    if value is None:
        raise DataError(f"{where}: {key!r} is null, wanted text; write the {part}, or remove the row")
    if not isinstance(value, str):
        remedy = "write it as text" if isinstance(value, list | dict) else "put it in quotes"
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted text; {remedy}")
    if not value.strip():
        raise DataError(f"{where}: empty {part} ({key!r}); fill it in or remove the row")
    return value


def scalar_cells(row: JsonObject, columns: ColumnsSpec, where: str) -> dict[str, str]:
    """The scalar values as text (`true`, `7`, `0.5`); null and nested values are left out.

    Raises DataError when a column named for the id, the group or a slice is missing or nested; null is allowed there.
    """
    for name in (columns.id, columns.group, *columns.slice):
        if name is not None and name not in row:
            raise DataError(
                f"{where}: key {name!r} is missing, found keys {listed(row)}; write null where a row has none{did_you_mean(name, row)}"
            )
        if name is not None and isinstance(row[name], list | dict):
            raise DataError(f"{where}: {name!r} is {kind(row[name])}, wanted text or a number; change the row or data.columns")
    return {key: scalar_text(value) for key, value in row.items() if value is not None and not isinstance(value, list | dict)}


def scalar_text(value: Any) -> str:
    """A JSON scalar as text.

    >>> scalar_text("7"), scalar_text(7), scalar_text(True)
    ('7', '7', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def json_row(row: JsonObject, messages: tuple[Message, ...], place: Place, used: Collection[str | None]) -> RawRow:
    """A row from its messages and the keys of the object that are not `used` for them."""
    cells = scalar_cells(row, place.columns, place.where)
    return raw_row(
        messages, cells, place, used, {key: value for key, value in row.items() if key not in used and not isinstance(value, str)}
    )


def rating_key(row: JsonObject, columns: ColumnsSpec) -> str | None:
    """The key that says whether the answer is desirable; None where no such key holds true or false, or the user gave it another use."""
    named = {columns.prompt, columns.target, columns.id, columns.group, *columns.slice}
    return next((key for key in RATED_KEYS if isinstance(row.get(key), bool) and key not in named), None)


def _excerpt(line: str, position: int, width: int = 24) -> str:
    start = max(0, position - width)
    cut = line[start : position + width].strip()
    return repr(f"{'...' if start else ''}{cut}{'...' if position + width < len(line.rstrip()) else ''}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"found {name}, wanted a finite number or null")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"found {digits}, wanted a finite number or null")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> JsonObject:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"found key {quoted(next(key for key in keys if keys.count(key) > 1))} twice, wanted each key once")
    return row


_HALF_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
