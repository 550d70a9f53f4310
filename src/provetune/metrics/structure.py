"""JSON completions: do they parse, do they satisfy the schema. No model is asked and nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NoReturn
from urllib.parse import urlsplit

from provetune.errors import SpecError
from provetune.metrics.base import Metric, Row, weighted_mean


class NotJson(ValueError):
    """The text is no JSON value; the message says why."""


def strict_json(text: str) -> Any:
    """The value of a JSON text (RFC 8259), with nothing around it.

    Raises NotJson also where Python's `json` is lenient: NaN and Infinity, numbers beyond a float, a key given twice, half a
    surrogate pair; and on nesting too deep to read.

    >>> strict_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_unique_keys)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except UnicodeEncodeError:
        raise NotJson("holds half a surrogate pair") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    return value


def parsed(text: str) -> tuple[Any, bool]:
    """The value and True, or None and False."""
    try:
        return strict_json(text), True
    except NotJson:
        return None, False


def _no_number(name: str) -> NoReturn:
    raise NotJson(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotJson(f"{text} is too large")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotJson("a key is given twice")
    return found


@lru_cache(maxsize=16)
def validator_of(schema: str) -> Any:
    """A validator of a JSON Schema given as text; `format` is asserted, references to elsewhere are not followed.

    The draft is the one that `$schema` names, else 2020-12. Raises SpecError where the text is no JSON Schema.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        content = strict_json(schema)
        kind = validator_for(content, default=Draft202012Validator)
        kind.check_schema(content)
    except (NotJson, SchemaError) as error:
        reason = error.message if isinstance(error, SchemaError) else str(error)
        raise SpecError(f"task.schema is no JSON Schema ({reason}); correct the file that it names") from error
    return kind(content, registry=Registry(), format_checker=_formats(kind))


def _formats(kind: Any) -> Any:
    from jsonschema import FormatChecker

    checker = FormatChecker(kind.FORMAT_CHECKER.checkers.keys())
    # jsonschema leaves these to packages that are rarely installed
    for name, check in (("date-time", _is_moment), ("uri", _is_uri)):
        checker.checks(name, raises=ValueError)(check)
    return checker


def _is_moment(value: object) -> bool:
    """RFC 3339: date, T, time, zone."""
    if isinstance(value, str):
        if len(value) < 20 or value[10] not in "Tt":
            return False
        return datetime.fromisoformat(value).tzinfo is not None
    return True


def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and value.isascii() and not any(map(str.isspace, value)))


def _json_valid(row: Row) -> tuple[float, ...]:
    return (float(parsed(row.completion)[1]),)


def _schema_valid(row: Row) -> tuple[float, ...] | None:
    from referencing.exceptions import Unresolvable

    if row.schema is None:
        return None
    validator = validator_of(row.schema)
    value, whole = parsed(row.completion)
    try:
        return (float(whole and validator.is_valid(value)),)
    except RecursionError:
        return (0.0,)
    except Unresolvable as error:
        raise SpecError(f"task.schema refers to what it does not hold ({error}); put the definition into the file") from error


def _has_schema(row: Row) -> bool:
    return row.schema is not None


def _draft(rows: Sequence[Row]) -> str:
    schema = next((row.schema for row in rows if row.schema is not None), None)
    draft = "none" if schema is None else type(validator_of(schema)).__name__.removesuffix("Validator").removeprefix("Draft")
    draft = f"{draft[:4]}-{draft[4:]}" if len(draft) == 6 else draft
    return f"draft:{draft}|format:asserted|jsonschema:{version('jsonschema')}"


JSON_VALID = Metric("json_valid", 1, "binary", _json_valid, weighted_mean)
SCHEMA_VALID = Metric(
    "schema_valid", 1, "binary", _schema_valid, weighted_mean, needs=frozenset({"schema"}), applies=_has_schema, signature=_draft
)
