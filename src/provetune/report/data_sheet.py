"""The data sheet: what is known about the rows, where they come from, and what nobody recorded.

The questions are those of Gebru et al., "Datasheets for Datasets" (2021), as far as records answer them; an answer that no record
holds is "unknown", with the way to give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provetune.records.bases import BaseLicence, obligations_of
from provetune.records.labels import Agreement, ClassCount
from provetune.records.provenance import Change, Source, TrainingRows
from provetune.report.inputs import ReportInputs
from provetune.report.words import estimate_text

_PERSONAL = ("personal_data", "secrets")
_SHOWN = 12


@dataclass(frozen=True)
class DataSheet:
    """What the section prints: answers by question, the files, the changes (each with its training's name), the annotators."""

    answers: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]
    changes: tuple[tuple[str, Change], ...]
    trainings: tuple[TrainingRows, ...]
    agreement: Agreement | None
    least_agreed: tuple[ClassCount, ...]


def data_sheet(inputs: ReportInputs) -> DataSheet:
    """All answers that the records of a run hold; raises nothing where a record is missing."""
    found = inputs.provenance
    changes = [] if found is None else [("", change) for change in found.changes]
    trainings = () if found is None else found.trainings
    changes += [(training.name, change) for training in trainings for change in training.changes]
    return DataSheet(
        answers=tuple(_answers(inputs)),
        sources=() if found is None else found.sources,
        changes=tuple(changes),
        trainings=trainings,
        agreement=inputs.audit.agreement,
        least_agreed=_least_agreed(inputs.audit.agreement),
    )


def _answers(inputs: ReportInputs) -> Iterator[tuple[str, str]]:
    audit, found = inputs.audit, inputs.provenance
    yield "What are the rows for?", f"The task {audit.task!r} of the project {inputs.evidence.project}."
    yield "How were they collected?", _collected(inputs)
    yield "Under which licence?", _licence(inputs)
    yield "Under which licence is the base model?", _base_licence(inputs.licence)
    yield "What was the base model trained on?", _declared(inputs.licence)
    yield "What is in them?", _composition(inputs)
    yield "In which languages?", _counts(found.languages, "rows") if found is not None and found.languages else "Not recorded."
    yield "Who gave the labels?", _labellers(audit.agreement)
    named = [finding.message for finding in audit.findings if finding.check == "representation"]
    yield "Which groups of people are named?", " ".join(named) or "Nothing was found to tell of by the word lists of the audit."
    faults = [f"{f.check.replace('_', ' ')} ({f.severity}, {f.count:,} rows)" for f in audit.findings if f.severity != "info"]
    yield "Which faults are known?", f"{'; '.join(faults)}. They stand in full under Data." if faults else "The audit found none."
    personal = [f.message for f in audit.findings if f.check in _PERSONAL]
    yield "Is there personal data or a secret?", " ".join(personal) or "Nothing of the forms that are looked for was found."
    yield "What was not looked for?", " ".join(audit.not_measured) or "Every check of the audit could look."


def _collected(inputs: ReportInputs) -> str:
    told = "unknown" if inputs.provenance is None else inputs.provenance.collected
    return "Unknown: the project file does not say it (data.collected)." if told == "unknown" else told


def _licence(inputs: ReportInputs) -> str:
    found = inputs.provenance
    if found is None:
        return "Not recorded."
    told = {source.licence for source in found.sources} - {"unknown"}
    rows = f" The rows themselves say: {_counts(found.row_licences, 'rows')}" if found.row_licences else ""
    return (f"{', '.join(sorted(told))}." if told else "Unknown: the project file does not say it (data.licence).") + rows


def _base_licence(found: BaseLicence | None) -> str:
    if found is None:
        return "Not recorded."
    if found.licence == "unknown":
        return f"Unknown: {found.model} does not say it, and neither does the project file (base.licence)."
    if found.terms is None:
        return f"{found.licence}, according to {found.found_in}; what it asks is not in our table."
    asks = "; ".join(obligations_of(found.terms)) or "nothing"
    return f"{found.terms.name}, according to {found.found_in}. It asks: {asks}. Source: {found.terms.source_url}"


def _declared(found: BaseLicence | None) -> str:
    data = None if found is None else found.declared_data
    return "Not declared by its card." if data is None else f"According to its card: {', '.join(data)}."


def _composition(inputs: ReportInputs) -> str:
    audit, found = inputs.audit, inputs.provenance
    parts = [f"{audit.count:,} rows" + (f" with {len(audit.label_counts):,} labels" if audit.label_counts else "")]
    if audit.tokens is not None:
        parts.append(f"{audit.tokens.total:,} tokens")
    if found is not None:
        parts.append(f"{found.made or 'none'} of them says of itself that it was made from another row or by a model")
    return "; ".join(parts) + "."


def _labellers(agreement: Agreement | None) -> str:
    if agreement is None:
        return "As the file says them; who gave them, and how, is not recorded."
    told = f"As the file says them; {len(agreement.annotators):,} annotators voted on {agreement.voted:,} of {agreement.rows:,} rows"
    if agreement.alpha is None or agreement.alpha.value is None:
        return f"{told}; their agreement is not measured by alpha."
    return f"{told}: Krippendorff's alpha {estimate_text(agreement.alpha)}, {agreement.level}."


def _least_agreed(agreement: Agreement | None) -> tuple[ClassCount, ...]:
    classes = () if agreement is None else agreement.classes
    shared = [(one.agreement.value, one) for one in classes if one.agreement.value is not None]
    return tuple(one for _, one in sorted(shared, key=lambda pair: pair[0])[:_SHOWN])


def _counts(counts: dict[str, int], what: str) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:_SHOWN]]
    return f"{', '.join(shown)}{' and others' if len(counts) > _SHOWN else ''} ({what})."
