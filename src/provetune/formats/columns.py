"""Which part of a file and which of its columns hold the examples: guessed, and asked where a guess is not sure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.part import joined
from provetune.formats.peek import named_cells, parts_named
from provetune.formats.table import PROMPT_NAMES, TARGET_NAMES
from provetune.formats.text import quoted

GROUP_NAMES = (
    "group",
    "customer",
    "customer_id",
    "user",
    "user_id",
    "author",
    "author_id",
    "account",
    "account_id",
    "conversation_id",
    "thread_id",
)
"""Columns whose equal values tie rows together, so that they do not straddle the split."""
Ask = Callable[[str, Sequence[str], str], str]
"""`ask(question, choices, best guess)` -> the choice; who cannot ask returns the guess."""


def choose_part(path: Path, ask: Ask) -> Path:
    """The path with the sheet of a workbook or the part of a data set that holds the examples; asks where there are several."""
    parts = parts_named(path)
    if not parts:
        return path
    guess = "train" if "train" in parts else max(parts, key=lambda name: parts[name])
    return Path(joined(path, ask("Which part holds the examples?", list(parts), guess)))


def choose_columns(path: Path, ask: Ask, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which columns (or JSON keys) hold prompt, target and group; nothing where the format names its own parts.

    What is `given` stands. A usual name decides, or that one column alone holds sentences or labels; else the user is asked. Guesses:
    the target has the fewest distinct values, the prompt the longest texts.
    """
    given = dict(given or {})
    cells = named_cells(path)
    if cells is None or {"prompt", "target"} <= given.keys():
        return given
    names = list(dict.fromkeys(name for row in cells for name in row if name))
    if len(names) < 2:
        found = f"one column only, {quoted(names[0])}" if names else "no column with a name"
        raise DataError(f"{path}: found {found}, wanted at least a prompt and a target; add the missing column")
    values = {name: [row[name] for row in cells if name in row] for name in names}
    known = [name for name in names if name.casefold() in PROMPT_NAMES]
    left = [name for name in names if name != given.get("prompt") and (len(known) != 1 or name != known[0])]
    sure = [name for name in left if _repeats(values[name])]
    target = given.get("target") or _choose(
        "target (what the model should write)", left, (TARGET_NAMES, sure), lambda n: -_variety(values[n]), ask
    )
    others = [name for name in names if name != target]
    sure = [name for name in others if _has_sentences(values[name])]
    prompt = given.get("prompt") or _choose(
        "prompt (what the model gets)", others, (PROMPT_NAMES, sure), lambda n: statistics.fmean(map(len, values[n])), ask
    )
    group = [name for name in others if name != prompt and name.casefold() in GROUP_NAMES and _ties_rows(values[name])]
    return {"prompt": prompt, "target": target, **({"group": group[0]} if group else {})}


def _choose(part: str, names: Sequence[str], signs: tuple[Sequence[str], Sequence[str]], worth: Callable[[str], float], ask: Ask) -> str:
    """The one column that its name speaks for, else the one that its cells speak for; `signs` are the usual names and those columns."""
    usual, sure = signs
    matches = [name for name in names if name.casefold() in usual]
    for found in (matches, names, [] if matches else sure):
        if len(found) == 1:
            return found[0]
    return ask(f"Which column holds the {part}?", matches or names, max(matches or names, key=worth))


def _variety(values: Sequence[str]) -> float:
    """Distinct values; a column that never varies, or is blank somewhere, is no target."""
    return len(set(values)) if len(set(values)) > 1 and all(value.strip() for value in values) else float("inf")


def _ties_rows(values: Sequence[str]) -> bool:
    """Whether a column names many small groups, as customers do and two agents do not."""
    return len(values) / 10 <= len(set(values)) < len(values)


def _repeats(values: Sequence[str]) -> bool:
    """Whether a column holds labels: few different values, so that each stands in ten rows or more on average; ids and dates do not."""
    return _variety(values) <= len(values) / 10


def _has_sentences(values: Sequence[str]) -> bool:
    """Whether a column holds texts that are mostly different, of more than three words on average: no ids, no dates, no labels."""
    return len(set(values)) > len(values) / 2 and statistics.fmean(len(value.split()) for value in values) > 3
