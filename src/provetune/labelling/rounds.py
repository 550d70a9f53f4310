"""Rounds on disk, and the rows that an audit flags for one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from provetune.errors import DataError, EvidenceError
from provetune.labelling.votes import Standing
from provetune.records.data import AuditReport
from provetune.records.labels import LabelQueue, QueueKind

REVIEWED = ("label_errors", "conflicting_labels")
"""Checks of the audit whose rows are reviewed, the first ones first."""


def rounds_of(folder: Path) -> list[LabelQueue]:
    """All rounds of a labels folder, by kind and number."""
    found = [LabelQueue.from_json(file.read_text(encoding="utf-8")) for file in (folder / "rounds").glob("*.json")]
    return sorted(found, key=lambda queue: (queue.kind, queue.number))


def newest(folder: Path, kind: QueueKind) -> LabelQueue | None:
    """The latest round of a kind, None before the first."""
    found = [queue for queue in rounds_of(folder) if queue.kind == kind]
    return found[-1] if found else None


def finished(queue: LabelQueue, held: Standing) -> bool:
    """Whether enough people have seen every row: two where it is shared, else one; a skip counts, and the row comes back later."""
    seen = Counter(example_id for _, example_id in held)
    return all(seen[row.example_id] >= (2 if row.shared else 1) for row in queue.rows)


def flagged_ids(file: Path | None, project: Path | None) -> tuple[str, ...]:
    """Ids to review: of a file (an audit as JSON, or one id a line), else of the newest audit in the project's runs.

    Raises DataError where there is neither, or where the audit flags nothing.
    """
    if file is not None:
        return _ids_of(file)
    audits = sorted((project / "runs").glob("*/records/audit-*.json"), key=lambda found: found.stat().st_mtime) if project else []
    if not audits:
        raise DataError("found no audit to take flagged rows from; run `provetune audit`, or name a file of ids with --ids")
    return _flagged(AuditReport.from_json(audits[-1].read_text(encoding="utf-8")), audits[-1])


def _ids_of(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}), wanted an audit as JSON or one id a line") from None
    if text.lstrip().startswith("{"):
        try:
            return _flagged(AuditReport.from_json(text), file)
        except (json.JSONDecodeError, EvidenceError, ValueError) as error:
            raise DataError(f"{file}: is no audit ({error}); write one with `provetune audit --format json`") from None
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _flagged(report: AuditReport, file: Path) -> tuple[str, ...]:
    found = sorted((f for f in report.findings if f.check in REVIEWED), key=lambda finding: REVIEWED.index(finding.check))
    ids = tuple(dict.fromkeys(row for finding in found for row in finding.example_ids))
    if not ids:
        raise DataError(f"{file}: the audit flags no label ({', '.join(REVIEWED)}); there is nothing to review")
    return ids
