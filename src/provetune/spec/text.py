"""The project file read from YAML, with errors that name line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from provetune.errors import SpecError
from provetune.spec.model import ProjectSpec, unavailable
from provetune.spec.parts import SpecPart

SPEC_FILE = "provetune.yaml"
"""Name of the project file in its folder."""

KeyPath = tuple[str | int, ...]

SHORT_FORMS = {"data": "path", "base": "model", "task": "type"}
"""Sections that may be written as one value, and the key it stands for."""

WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_too_short": "some text",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least one",
    "string_pattern_mismatch": "MODULE:FUNCTION",
}
"""What each of pydantic's errors says was wanted."""


def load_spec(path: Path, overrides: Sequence[str] = ()) -> ProjectSpec:
    """Read and check a project file; `overrides` are `a.b=c` with a YAML value, applied in order.

    Paths in the file stay relative to its folder. Raises SpecError with one line per mistake, each naming file,
    line and key; also for settings that this version does not act on.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as a text file ({error}); 'provetune init FILE' writes a project file") from error
    content, root = _parse(text, path.name)
    for override in overrides:
        _override(content, override)
    try:
        spec = ProjectSpec.model_validate(content)
    except ValidationError as error:
        messages = _messages(error.errors(), content)
    else:
        messages = [(_keys(line), line) for line in unavailable(spec)]
    if messages:
        given = [override.partition("=")[0] for override in overrides]
        raise SpecError("\n".join(f"{_where(root, keys, path.name, given)}: {line}" for keys, line in messages))
    return spec


def _parse(text: str, name: str) -> tuple[dict[str, Any], yaml.Node]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{name}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SpecError(f"{name}: not valid YAML: {error}") from error
    if root is None or content is None:
        raise SpecError(f"{name}: the file is empty; 'provetune init FILE' writes a project file")
    if not isinstance(content, dict):
        raise SpecError(f"{name}:1: found {_shown(content)}, wanted a mapping such as 'version: 1'")
    for first, again, key in _written_twice(root, set()):
        raise SpecError(f"{name}:{again}: {key}: written twice, first on line {first}; keep one")
    return content, root


def _written_twice(node: yaml.Node, seen: set[int], shown: str = "") -> Iterator[tuple[int, int, str]]:
    if id(node) in seen:  # an alias may lead back to its own anchor
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _written_twice(item, seen, f"{shown}[{i}]")
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            path = f"{shown}.{key.value}".lstrip(".")
            line = key.start_mark.line + 1
            if path in lines:
                yield lines[path], line, path
            lines[path] = line
            yield from _written_twice(value, seen, path)


def _override(content: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError(f"override {override!r}: wanted KEY=VALUE, for example train.epochs=3")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"override {override!r}: {text!r} is not valid YAML; put a text in quotes") from error
    part = content
    for depth, key in enumerate(keys[:-1]):
        inner = part.get(key)
        if depth == 0 and key in SHORT_FORMS and isinstance(inner, str):
            inner = {SHORT_FORMS[key]: inner}
        if not isinstance(inner, dict | None):
            raise SpecError(f"override {override!r}: {'.'.join(keys[: depth + 1])} is {_shown(inner)}, not a mapping")
        part[key] = part = inner if inner is not None else {}
    part[keys[-1]] = value


def _messages(errors: Sequence[ErrorDetails], content: Any) -> list[tuple[KeyPath, str]]:
    """One (place, text) per mistake: the branches that pydantic tried at one place become one line."""
    places: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        places.setdefault(_place(error, content), []).append(error)
    found = []
    for place, group in places.items():
        # of "labels: not 'auto'" and "labels[1]: not text" only the second helps
        if any(len(other) > len(place) and other[: len(place)] == place for other in places if place):
            continue
        found.append((place, _message(place, group, content)))
    return found


def _place(error: ErrorDetails, content: Any) -> KeyPath:
    """The error's place in the file: the names of union branches and short forms are left out."""
    place: list[str | int] = []
    inside: Any = content
    for step in error["loc"]:
        if step in inside if isinstance(inside, dict) else isinstance(inside, list) and isinstance(step, int):
            inside = inside[step]
            place.append(step)
    if error["type"] == "missing":
        place.append(error["loc"][-1])
    return tuple(place)


def _message(place: KeyPath, group: Sequence[ErrorDetails], content: Any) -> str:
    path, first = _path_text(place), group[0]
    if first["type"] == "extra_forbidden":
        return f"{path}: unknown key{_suggest(place)}"
    if first["type"] == "missing":
        return f"{path}: required key is missing"
    if first["type"] == "value_error":
        return f"{path}: {first['msg'].removeprefix('Value error, ')}".lstrip(": ")
    for step in place:
        content = content[step]
    wanted = list(dict.fromkeys(WANTED.get(e["type"], e["msg"]).format(**e.get("ctx", {})) for e in reversed(group)))
    if wanted == ["a mapping"] and place[0] in (*SHORT_FORMS, "baselines"):
        wanted.append("text")
    line = f"{path}: found {_shown(content)}, wanted {' or '.join(wanted)}"
    if place == ("version",):
        return f"{line}, which is all that this provetune reads"
    if wanted == ["text"] and isinstance(content, bool | int | float):
        return f"{line}; put it in quotes"
    choices = re.findall("'([^']+)'", first["msg"]) if first["type"] == "literal_error" else []
    close = closest(content, choices) if isinstance(content, str) else None
    return line + (f"; did you mean {close!r}?" if close else "")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _path_text(place: KeyPath) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _keys(line: str) -> KeyPath:
    steps = re.findall(r"[^.\[\]]+", line.partition(":")[0])
    return tuple(int(step) if step.isdigit() else step for step in steps)


def _where(root: yaml.Node, place: KeyPath, name: str, overridden: Sequence[str]) -> str:
    written = _path_text(place)
    for key in reversed(overridden):
        if written == key or written.startswith((f"{key}.", f"{key}[")):
            return f"override of {key}"
    if not place:
        return name
    node, line = root, root.start_mark.line
    for step in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return f"{name}:{line + 1}"


def keys_by_section(part: type[SpecPart] = ProjectSpec, section: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[str]]:
    """Every key that the project file knows, by the section it belongs to (`()` is the top)."""
    keys = {section: [field.alias or name for name, field in part.model_fields.items()]}
    for name, field in part.model_fields.items():
        for inner in _parts_in(field.annotation):
            keys |= keys_by_section(inner, (*section, field.alias or name))
    return keys


def _parts_in(annotation: Any) -> Iterator[type[SpecPart]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, SpecPart):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts_in(argument)


def _suggest(place: KeyPath) -> str:
    *section, key = (step for step in place if isinstance(step, str))
    keys = keys_by_section()
    close = closest(key, keys.get(tuple(section), []))
    if close is None:
        close = next((".".join((*where, key)) for where, names in keys.items() if key in names), None)
    return f"; did you mean {close!r}?" if close else ""


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word with the fewest single-letter edits to `word`, if these are few for its length.

    >>> closest("lerning_rate", ["learning_rate", "epochs"])
    'learning_rate'
    """
    edits, _, best = min(((_edits(word, other), i, other) for i, other in enumerate(known)), default=(99, 0, None))
    return best if best is not None and edits <= max(1, len(best) // 3) else None


def _edits(a: str, b: str) -> int:
    """Letters to insert, delete, replace or swap with the next (optimal string alignment distance)."""
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
