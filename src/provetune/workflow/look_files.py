"""What a look leaves on disk, and the notices about it."""

from __future__ import annotations

import warnings
from pathlib import Path

from provetune.errors import EndpointError, Notice
from provetune.hashing import canonical_json, fingerprint
from provetune.monitoring.notify import notify
from provetune.monitoring.sample import Row
from provetune.monitoring.state import StateFile
from provetune.records.monitoring import DriftReport, RetrainProposal
from provetune.report.drift import render_look
from provetune.store import write_atomic


def write_look(folder: Path, name: str, found: tuple[DriftReport, RetrainProposal | None], to_label: list[Row]) -> Path:
    """Record, page, proposal and rows to label; gives the page. Repeated after a kill, they are the same files again."""
    report, proposal = found
    record = folder / "looks" / f"{name}.json"
    write_atomic(record.with_suffix(".html"), render_look(report, proposal))
    write_atomic(record, report.to_json())
    if proposal is not None:
        write_atomic(folder / "proposals" / f"{proposal.trigger}.json", proposal.to_json())
    if to_label:
        rows = [{"id": row.id or fingerprint(row.text), "prompt": row.text, "prediction": row.prediction} for row in to_label]
        write_atomic(folder / "to-label.jsonl", "".join(canonical_json(row) + "\n" for row in rows))
    return record.with_suffix(".html")


def send_notices(folder: Path, targets: list[str], state_file: StateFile) -> None:
    """Send what has not gone out; a notice that is not taken is kept, so that each arrives once or more."""
    for name in state_file.state.unsent:
        record = folder / "looks" / f"{name}.json"
        report = DriftReport.from_json(record.read_text(encoding="utf-8"))
        try:
            for target in targets:
                notify(target, report, str(record.with_suffix(".html")))
        except EndpointError as error:
            warnings.warn(str(error), Notice, stacklevel=2)
            return
        left = tuple(one for one in state_file.state.unsent if one != name)
        state_file.save(state_file.state.model_copy(update={"unsent": left}), next_window=False)
