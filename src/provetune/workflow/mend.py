"""What `audit --fix` does: the safe remedies as a list, or as a new data file with a parent. The user's file is only read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from provetune.audit import AuditInput
from provetune.audit.fixes import PersonalDataFix, safe_fixes
from provetune.errors import DataError, FolderError
from provetune.formats import WRITERS, Notes
from provetune.formats.prompt_completion import more_than_two_texts
from provetune.load import load
from provetune.personal_data import find, masked
from provetune.records.data import Dataset, Example
from provetune.records.fixes import FixPlan
from provetune.spec import DataSpec
from provetune.store import content_sha256, write_atomic
from provetune.workflow.project import ORIGIN, Project


def plan_fixes(project: Project) -> tuple[FixPlan, list[Example]]:
    """All safe remedies for the project's rows, and the rows after them; nothing is written."""
    given = AuditInput(
        examples=project.examples,
        task=project.spec.task,
        tokenizer=None,
        encode=None,
        groups=range(len(project.examples)),
        test_examples=project.given_test,
    )
    wanted = project.spec.data.pii
    if wanted is None or wanted.action == "report":
        rows, fixes = safe_fixes(given)
    else:
        rows, fixes = safe_fixes(given, PersonalDataFix(lambda text: masked(text, find(text, wanted.kinds)), wanted.action == "drop"))
    plan = FixPlan(dataset=project.dataset.fingerprint, rows_before=len(project.examples), rows_after=len(rows), fixes=fixes)
    return plan, rows


def write_fixed(project: Project) -> FixPlan:
    """Write the mended rows to a new file of the project folder, `<name>.fixed.jsonl`, and how they came about beside it.

    The file is read back before it gets its name. Raises DataError where a row would not survive, FolderError where it cannot be
    written. Nothing is written where there is nothing to mend.
    """
    plan, rows = plan_fixes(project)
    if not plan.fixes:
        return plan
    target = _free_name(project)
    in_file = [_as_in_a_file(row, project) for row in rows]
    written = _as_written(project, target.name, in_file)
    partial = target.with_name(f"{target.stem}.partial{target.suffix}")
    try:
        _write(partial, in_file, written)
        found = load(partial, written, project.spec.task)
        if content_sha256(found) != content_sha256(rows):
            raise DataError(f"{target}: the format {written.format!r} cannot hold these rows; mend them where they came from")
        partial.replace(target)
    except OSError as error:
        raise FolderError(f"{target}: {error.strerror or error}; wanted a project folder that can be written") from error
    finally:
        partial.unlink(missing_ok=True)
    change = "; ".join(f"{fix.name}: {fix.count}" for fix in plan.fixes)
    made = Dataset(
        path=target.name,
        rows_sha256=content_sha256(rows),
        count=len(rows),
        parent=project.dataset.fingerprint,
        change=f"audit --fix ({change})",
    )
    plan = plan.model_copy(update={"written": made, "spec_lines": _spec_lines(project, written), "source": project.sources[0]})
    write_atomic(target.with_name(target.name + ORIGIN), plan.to_json())
    return plan


def _free_name(project: Project) -> Path:
    stem = Path(project.spec.data.path.rstrip("/")).name.partition(".")[0] or "examples"
    names = (f"{stem}.fixed{f'-{number}' if number > 1 else ''}.jsonl" for number in range(1, 1000))
    return next(path for name in names if not (path := project.folder / name).exists())


def _as_written(project: Project, name: str, rows: Sequence[Example]) -> DataSpec:
    """Form and columns of the new file: the project's own columns where they suffice, since a test file may need them, too."""
    data = project.spec.data
    columns = data.columns.model_copy(update={"group": data.columns.group or data.split.group})
    if any(row.rejected for row in rows):
        return DataSpec(path=name, format="preference", columns=columns)
    if columns.prompt is not None and columns.target is not None and not any(map(more_than_two_texts, rows)):
        return DataSpec(path=name, format="prompt-completion", columns=columns)
    return DataSpec(path=name, format="chat", columns=columns.model_copy(update={"prompt": None, "target": None}))


def _as_in_a_file(example: Example, project: Project) -> Example:
    """The example without the system line that reading adds."""
    system, first = project.spec.task.system, example.messages[0]
    added = bool(system) and first.role == "system" and first.content == system and not first.developer
    return example.model_copy(update={"messages": example.messages[1:]}) if added else example


def _write(path: Path, rows: Sequence[Example], data: DataSpec) -> None:
    left = Notes()
    WRITERS[data.format](path, rows, data.columns, left)
    if left.rows or left.parts:
        raise DataError(f"{path.name}: the format {data.format!r} cannot hold all of the rows: {'; '.join(left.lines())}")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _spec_lines(project: Project, written: DataSpec) -> tuple[str, ...]:
    given = project.spec.data
    lines = [f"data.path: {written.path}"]
    if given.format not in ("auto", written.format):
        lines.append("data.format: auto")
    if (given.columns.prompt or given.columns.target) and written.columns.prompt is None:
        lines.append("data.columns: without prompt and target, since the new file holds messages")
    return tuple(lines)
