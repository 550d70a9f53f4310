"""Retention suites: the one that ships, a user's own file, tasks of lm-evaluation-harness where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from provetune.errors import DataError, SpecError
from provetune.records.retention import SuiteItem

BUILTIN = Path(__file__).parent / "retention.jsonl"
PROMPTS = Path(__file__).parent / "prompts.txt"
LM_EVAL = "lm-eval:"


def load_suites(names: Sequence[str], folder: Path) -> dict[str, tuple[SuiteItem, ...]]:
    """The items of each suite: `builtin`, a JSONL file relative to `folder`, or `lm-eval:TASK`.

    Raises DataError where a row is no item, with file and line; SpecError where there is no such suite.
    """
    return {name: _load(name, folder) for name in names}


def _load(name: str, folder: Path) -> tuple[SuiteItem, ...]:
    if name.startswith(LM_EVAL):
        from provetune.suites.lm_eval import task_items

        return task_items(name.removeprefix(LM_EVAL))
    return read_items(BUILTIN if name == "builtin" else folder / name)


def read_items(file: Path) -> tuple[SuiteItem, ...]:
    """One item per line of a JSONL file; keys as in `SuiteItem`, an absent `id` becomes skill and line number.

    >>> len(read_items(BUILTIN)) > 2800
    True
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"it cannot be read as UTF-8 ({error})"
        raise SpecError(
            f"prove.retention: {file}: {reason}; wanted `builtin`, a JSONL file relative to the project folder, or `{LM_EVAL}TASK`"
        ) from error
    found: dict[str, SuiteItem] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = SuiteItem.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{file}:{number}: {where}{': ' if where else ''}{first['msg']}; see docs/retention.md for the keys") from error
        item = item if item.id else item.model_copy(update={"id": f"{item.skill}-{number}"})
        if item.id in found:
            raise DataError(f"{file}:{number}: the id {item.id!r} stands in an earlier line; give each item its own")
        found[item.id] = item
    if not found:
        raise DataError(f"{file}: no items; wanted one JSON object per line, see docs/retention.md for the keys")
    return tuple(found.values())


def general_prompts() -> tuple[str, ...]:
    """Everyday requests to which a base model writes texts that show how it used to write."""
    return tuple(PROMPTS.read_text(encoding="utf-8").splitlines())
