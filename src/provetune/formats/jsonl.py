"""JSON lines: one object a line, strictly read; what the JSON readers share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from provetune.errors import DataError
from provetune.formats.text import did_you_mean, physical_lines, read_text
from provetune.spec import ColumnsSpec

JsonObject = dict[str, Any]


def objects(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Each object with its physical line, from 1; blank lines are skipped and counted.

    Raises DataError, with `file:line`, on broken JSON, a line that is no object, NaN or Infinity, a key given twice, or half
    a surrogate pair.
    """
    for number, line in enumerate(physical_lines(read_text(path)), start=1):
        if line.strip():
            yield number, parse_object(line.rstrip("\r\n"), f"{path}:{number}")


def parse_object(line: str, where: str) -> JsonObject:
    """The object on one line; `where` is the `file:line` that a DataError names."""
    try:
        value = _DECODER.decode(line)
        if "\\ud" in line or "\\uD" in line:  # an escape can smuggle in half a pair, which no file can hold
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        column = f"{error.msg.removesuffix(' at')} at column {error.colno}, near {_excerpt(line, error.pos)}"
        raise DataError(f"{where}: not JSON: {column}; write one JSON object per line") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: found half of a surrogate pair, wanted whole characters; export the file again") from None
    except RecursionError:
        raise DataError(f"{where}: found JSON nested too deeply to read, wanted an example near {_excerpt(line, 0)}") from None
    except ValueError as error:
        raise DataError(f"{where}: {error}; write one JSON object per line") from None
    if not isinstance(value, dict):
        raise DataError(f"{where}: found {kind(value)}, wanted a JSON object, near {_excerpt(line, 0)}")
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
        found = ", ".join(row) or "none"
        raise DataError(
            f"{where}: key {key!r} is missing, found keys {found}; add it, or name the keys with data.columns{did_you_mean(key, row)}"
        )
    value = row[key]
    if not isinstance(value, str):
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted text; put it in quotes")
    if not value.strip():
        raise DataError(f"{where}: empty {part} ({key!r}); fill it in or remove the row")
    return value


def scalar_cells(row: JsonObject, columns: ColumnsSpec, where: str) -> dict[str, str]:
    """The scalar values as text (`true`, `7`, `0.5`); null and nested values are left out.

    Raises DataError when a column named for the id, the group or a slice is missing or nested; null is allowed there.
    """
    for name in (columns.id, columns.group, *columns.slice):
        if name is not None and name not in row:
            found = ", ".join(row) or "none"
            raise DataError(
                f"{where}: key {name!r} is missing, found keys {found}; write null where a row has none{did_you_mean(name, row)}"
            )
        if name is not None and isinstance(row[name], list | dict):
            raise DataError(f"{where}: {name!r} is {kind(row[name])}, wanted text or a number; change the row or data.columns")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items() if _is_scalar(value)}


def _is_scalar(value: object) -> bool:
    return value is not None and not isinstance(value, list | dict)


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
        raise ValueError(f"found key {next(key for key in keys if keys.count(key) > 1)!r} twice, wanted each key once")
    return row


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
