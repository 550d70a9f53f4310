"""A report and its evidence without any text of a row: what may be shown to people who may not see the data."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from provetune.errors import EvidenceError, FolderError
from provetune.hashing import fingerprint
from provetune.records.augmentation import AugmentationReport
from provetune.records.base import Record
from provetune.records.candidate import Candidate, Plan, Prompt, TrainingRun
from provetune.records.curve import LearningCurve
from provetune.records.data import AuditReport, Message, Split
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Evaluation, Evidence
from provetune.records.forgetting import ForgettingReport
from provetune.records.provenance import Provenance
from provetune.records.robustness import RobustnessReport
from provetune.records.tuning_search import TuningSearch
from provetune.report.html import render_report
from provetune.report.inputs import ReportInputs
from provetune.store import write_atomic
from provetune.workflow.project import Project
from provetune.workflow.verify import read_evidence, verify

R = TypeVar("R", bound=Record)
SHORTEST = 12
"""Characters from which a text is looked for in what was written: shorter ones are words of any language."""
_READ: tuple[type[Record], ...] = (
    *(AuditReport, Split, Plan, TrainingRun, AugmentationReport, LearningCurve),
    *(Provenance, EndpointUse, RobustnessReport, ForgettingReport, TuningSearch),
)


def redact(project: Project, run: Path) -> tuple[Path, Path]:
    """Write `report-redacted.html` and `evidence-redacted.json` of a run; returns both. Hashes and observations stay, so it verifies.

    Prompts, shots, labels and findings are hidden; ids stay. FolderError where the data is another than that of the run or a record is
    missing, EvidenceError where a text of a row would still be seen.
    """
    if not run.name.endswith(project.key):
        raise FolderError(f"{run}: provetune.yaml or the data changed since that run; undo the change, or `provetune prove` again")
    evidence = read_evidence(run / "evidence.json")
    inputs = hidden_inputs(run, evidence)
    shown = inputs.evidence
    texts = {m.text for e in (*project.examples, *(project.given_test or ())) for m in e.messages if m.role != "system"}
    page, content = render_report(inputs), shown.to_json()
    seen = list(_seen(texts, (page, content)))
    if seen:
        raise EvidenceError(
            f"{run}: texts of {len(seen):,} rows would still be seen ({fingerprint(seen[0])} for one); please report this as a bug"
        )
    report_file, evidence_file = run / "report-redacted.html", run / "evidence-redacted.json"
    write_atomic(evidence_file, content)
    verify(evidence_file)
    write_atomic(report_file, page)
    return report_file, evidence_file


def redacted(evidence: Evidence) -> Evidence:
    """The evidence with every text of prompts and every label hidden, which still gives its decision."""
    spread = evidence.seeds
    if spread is not None:
        spread = spread.model_copy(update={"evaluations": tuple(map(_evaluation, spread.evaluations))})
    kept = evidence.retention
    if kept is not None:
        kept = kept.model_copy(update={"exposures": tuple(one.model_copy(update={"canary": _hash(one.canary)}) for one in kept.exposures)})
    return evidence.model_copy(
        update={
            "labels": tuple(f"label {place}" for place, _ in enumerate(evidence.labels, start=1)),
            "evaluations": tuple(map(_evaluation, evidence.evaluations)),
            "seeds": spread,
            "retention": kept,
        }
    )


def _evaluation(evaluation: Evaluation) -> Evaluation:
    return evaluation.model_copy(update={"candidate": _candidate(evaluation.candidate)})


def _candidate(candidate: Candidate) -> Candidate:
    """The candidate without its texts, under the fingerprint that it had with them."""
    prompt, settings = candidate.prompt, candidate.generation
    hidden = Prompt(
        strategy=prompt.strategy,
        system=None if prompt.system is None else _hash(prompt.system),
        shots=tuple((_turn(asked), _turn(said)) for asked, said in prompt.shots),
        shot_ids=prompt.shot_ids,
        turn=None if prompt.turn is None else _hash(prompt.turn),
        answer_marker=None if prompt.answer_marker is None else _hash(prompt.answer_marker),
        similar=prompt.similar,
        left_out=prompt.left_out,
    )
    schema = None if settings.json_schema is None else _hash(settings.json_schema)
    written = settings.model_copy(update={"choices": tuple(map(_hash, settings.choices)), "json_schema": schema})
    return candidate.model_copy(update={"prompt": hidden, "generation": written, "hidden_key": candidate.fingerprint})


def _turn(message: Message) -> Message:
    return Message(role=message.role, content=_hash(message.text))


def _hash(text: str) -> str:
    return f"(hidden {fingerprint(text)})"


def hidden_inputs(run: Path, evidence: Evidence) -> ReportInputs:
    """What the report is written from, as the records of the run hold it, without texts. FolderError where one is missing."""
    shown = redacted(evidence)
    names = {label: f"label {place}" for place, label in enumerate(evidence.labels, start=1)}
    wanted = set(evidence.records.values())
    records = list(_records(run))
    found = [record for record in records if record.fingerprint in wanted]
    audit, split, plan = _of(found, AuditReport), _of(found, Split), _of([*found, *records], Plan)
    if plan is None or audit is None or split is None:
        raise FolderError(f"{run / 'records'}: records of audit, split or plan are missing; `provetune prove` writes them again")
    return ReportInputs(
        shown,
        _audit(audit, names),
        split,
        plan,
        tuple(record for record in found if isinstance(record, TrainingRun)),
        {},
        {},
        augmentation=_of(found, AugmentationReport),
        curve=_of(found, LearningCurve),
        provenance=_of(found, Provenance),
        tuning_searches=tuple(record for record in found if isinstance(record, TuningSearch)),
        endpoints=tuple(record for record in found if isinstance(record, EndpointUse)),
        robustness=_of(found, RobustnessReport),
        forgetting=_of(found, ForgettingReport),
    )


def _of(found: Iterable[Record], kind: type[R]) -> R | None:
    return next((record for record in found if isinstance(record, kind)), None)


def _records(run: Path) -> Iterator[Record]:
    kinds = {kind.SCHEMA.partition("/")[0]: kind for kind in _READ}
    for file in sorted((run / "records").glob("*.json")):
        text = file.read_text(encoding="utf-8")
        kind = kinds.get(str(json.loads(text).get("schema", "")).removeprefix("provetune.").partition("/")[0])
        if kind is not None:
            yield kind.from_json(text)


def _audit(audit: AuditReport, names: dict[str, str]) -> AuditReport:
    """The audit without the words of its findings, which quote rows and labels."""
    said = "(hidden: it may quote rows)"
    agreement = audit.agreement
    if agreement is not None:
        classes = tuple(one.model_copy(update={"label": names.get(one.label, _hash(one.label))}) for one in agreement.classes)
        agreement = agreement.model_copy(update={"classes": classes})
    return audit.model_copy(
        update={
            "findings": tuple(one.model_copy(update={"message": said, "remedy": said}) for one in audit.findings),
            "claims": tuple(one.model_copy(update={"reason": said}) for one in audit.claims),
            "label_counts": {names.get(label, _hash(label)): count for label, count in audit.label_counts.items()},
            "agreement": agreement,
        }
    )


def _seen(texts: Iterable[str], written: tuple[str, ...]) -> Iterator[str]:
    """Texts that stand in what was written, in any of the ways that HTML and JSON have of writing them."""
    for text in texts:
        forms = (text, html.escape(text), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        if len(text.strip()) >= SHORTEST and any(form in one for form in forms for one in written):
            yield text
