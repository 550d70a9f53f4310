"""Tables: named columns, one of them the prompt and one the target; every cell is text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from provetune.errors import DataError
from provetune.formats.prompt_completion import COMPLETION, PROMPT, more_than_two_texts
from provetune.formats.row import Notes, Place, RawRow, raw_row, single_turn
from provetune.formats.shape import completed
from provetune.formats.text import did_you_mean, listed, quoted
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

PROMPT_NAMES = ("text", "prompt", "question", "input", "message", "utterance", "query", "body", "subject_body")
TARGET_NAMES = (
    *("label", "category", "target", "intent", "class", "queue"),
    *("answer", "completion", "output", "response", "summary"),
)


def check_header(names: Sequence[str], columns: ColumnsSpec, where: str) -> None:
    """DataError where a name stands twice, or one that `columns` gives is missing."""
    found = listed(names)
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"{where}: found column {quoted(name)} twice in {found}; give each column its own name")
    for wanted in (columns.prompt, columns.target, columns.id, columns.group, *columns.slice):
        if wanted is not None and wanted not in names:
            raise DataError(
                f"{where}: column {wanted!r} is missing, found columns {found}; correct data.columns{did_you_mean(wanted, names)}"
            )


def prompt_and_target(names: Sequence[str], columns: ColumnsSpec, where: str) -> tuple[str, str]:
    """The two columns that are learned from: as `columns` says, else the one usual name of each. DataError where that leaves a choice."""
    prompt = columns.prompt or guess_column(names, "prompt", PROMPT_NAMES, columns, where)
    return prompt, columns.target or guess_column(names, "target", TARGET_NAMES, columns, where)


def guess_column(names: Sequence[str], part: str, usual: Sequence[str], columns: ColumnsSpec, where: str) -> str:
    """The one name that is usual for a part and has no other use; DataError where there is none, or more than one."""
    taken = {columns.prompt, columns.target, columns.id, columns.group, *columns.slice}
    matches = [name for name in names if name.casefold() in usual and name not in taken]
    if len(matches) == 1:
        return matches[0]
    told = f"{' and '.join(map(quoted, matches))} could each be" if matches else "no usual name is"
    raise DataError(
        f"{where}: {told} the {part} column, found columns {listed(names)}; "
        "name both with data.columns, e.g. columns: {prompt: ..., target: ...}"
    )


def table_row(cells: dict[str, str], parts: tuple[str, str], place: Place) -> RawRow:
    """A row from its cells by column name; DataError where the prompt or the target is blank."""
    prompt, target = (cells[name] for name in parts)
    if not (prompt.strip() and target.strip()):
        part, name = ("completion", parts[1]) if prompt.strip() else ("prompt", parts[0])
        raise DataError(f"{place.where}: empty {part} (column {quoted(name)}); fill it in or remove the row")
    return raw_row(single_turn(prompt, target), cells, place, parts)


Rows = list[tuple[Example, dict[str, str]]]
"""Examples with their cells by column name."""


def table_of(examples: Iterable[Example], columns: ColumnsSpec, notes: Notes) -> tuple[list[str], Rows]:
    """Column names, and each row that a table holds with its cells; what it cannot hold is noted. A missing cell is blank."""
    rows: Rows = []
    for example in examples:
        cells = _cells(example, columns, notes)
        if cells is not None:
            rows.append((example, cells))
    names = list(dict.fromkeys(name for _, cells in rows for name in cells))
    for example, cells in rows:
        for name in names:
            if name not in cells:
                notes.part(f"whether column {quoted(name)} is missing or blank", example.source)
    return names, rows


def without_columns(names: list[str], rows: Rows, is_unfit: Callable[[str], bool], notes: Notes) -> list[str]:
    """The names that are fit to be written; the cells under the others are taken out and noted."""
    for name in filter(is_unfit, names):
        for example, cells in rows:
            if cells.pop(name, None) is not None:
                notes.part(f"column {quoted(name)}, a name that this format cannot hold", example.source)
    return [name for name in names if not is_unfit(name)]


def _cells(example: Example, columns: ColumnsSpec, notes: Notes) -> dict[str, str] | None:
    reason = more_than_two_texts(example) or ("a rated answer; write it as 'chat'" if example.desirable is not None else None)
    if reason is None and not (example.messages[0].content.strip() and example.target.strip()):
        reason = "an empty prompt or target"
    if reason:
        notes.row(reason, example.source)
        return None
    for name in example.extra:
        if name not in example.meta and name not in (columns.id or "id", columns.group):
            notes.part(f"{quoted(name)}, which is null or nested; a table holds text only", example.source)
        else:
            notes.part(f"that {quoted(name)} was no text; a table holds text only", example.source)
    plain = example.model_copy(update={"extra": {}})
    own = {columns.prompt or PROMPT: example.messages[0].content, columns.target or COMPLETION: example.target}
    cells = completed(own, plain, columns, (), notes)
    for name in [name for name in cells if not name or name != name.strip()]:
        notes.part(f"column {quoted(name)}, whose name has blanks around it", example.source)
        del cells[name]
    return cells
