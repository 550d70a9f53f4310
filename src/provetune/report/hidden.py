"""Evidence and audit without any text of a row."""

from __future__ import annotations

from provetune.hashing import fingerprint
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import AuditReport, Message
from provetune.records.evaluation import Evaluation, Evidence


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


def hidden_audit(audit: AuditReport, names: dict[str, str]) -> AuditReport:
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
