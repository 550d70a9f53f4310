"""The model card and the data sheet of a package, in Markdown, from the same records as the report."""

from __future__ import annotations

import json
from collections.abc import Iterator

from provetune.records.package import Package
from provetune.records.release import Release
from provetune.report.data_sheet import data_sheet
from provetune.report.inputs import ReportInputs, champion_evaluation, deciding_comparisons, deciding_metric, evaluations_on_test
from provetune.report.limits import limits
from provetune.report.words import DECISION_WORDS, METRIC_WORDS, OUTCOME_WORDS, estimate_text, visible

_LIBRARY = {"adapter": "peft", "merged": "transformers", "gguf": "llama.cpp"}


def model_card(inputs: ReportInputs, release: Release, package: Package, purpose: str, commands: str) -> str:
    """README.md: the hub's front matter, then what the model is for, how good it is, what it cannot do, and who answers for it."""
    lines = [
        *_front_matter(inputs, release, package),
        f"# {visible(release.name)}",
        "",
        *_what(inputs, release, package, purpose),
        *_evidence(inputs, release),
        *_bias(inputs),
        "## Limits",
        "",
        *(f"- {visible(sentence)}" for sentence in limits(inputs)),
        "",
        "## Licences",
        "",
        *(f"- {link.of}: {visible(link.name)}, {visible(link.licence)}" for link in release.licences),
        "",
        "## How to run it",
        commands,
        *_checks(release, package),
    ]
    return "\n".join(lines) + "\n"


def data_sheet_page(inputs: ReportInputs) -> str:
    """DATA_SHEET.md: what the records say of the rows; nothing of a row itself."""
    sheet = data_sheet(inputs)
    lines = ["# Data sheet", "", *(f"**{question}** {visible(answer)}\n" for question, answer in sheet.answers), "## Files", ""]
    lines += [f"- {s.role}: {visible(s.path)}, {s.rows:,} rows, SHA-256 `{s.sha256}`, licence {visible(s.licence)}" for s in sheet.sources]
    lines += ["", "## Every change to the rows", "", "| training | step | rows in | rows out |", "|---|---|---|---|"]
    lines += [f"| {name or 'all'} | {visible(change.step)} | {change.rows_in:,} | {change.rows_out:,} |" for name, change in sheet.changes]
    return "\n".join(lines) + "\n"


def _front_matter(inputs: ReportInputs, release: Release, package: Package) -> Iterator[str]:
    """YAML as the hub reads it; every text as JSON, which YAML takes."""
    base = inputs.plan.model
    yield "---"
    yield f"license: {json.dumps(base.licence if base.licence != 'unknown' else 'other')}"
    if "/" in base.name:
        yield f"base_model: {json.dumps(base.name)}"
        yield f"base_model_relation: {'adapter' if package.form == 'adapter' else 'finetune'}"
    yield f"library_name: {_LIBRARY[package.form]}"
    yield "pipeline_tag: text-generation"
    yield f"tags: [provetune, {package.form}]"
    yield "---"


def _what(inputs: ReportInputs, release: Release, package: Package, purpose: str) -> Iterator[str]:
    base, evidence = inputs.plan.model, inputs.evidence
    yield f"{base.name} ({base.parameters / 1e6:,.1f} million parameters), tuned for the task {inputs.audit.task!r} of {evidence.project}."
    yield ""
    if release.waiver is not None:
        waiver = release.waiver
        yield f"> **Shipped under a waiver.** The decision is {DECISION_WORDS[release.outcome]}. {visible(waiver.who)} answers for it until"
        yield f"> {waiver.until}: {visible(waiver.why)}"
        yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| intended use | {visible(purpose) or 'not stated by its owner'}; requests of the kind of the data sheet, and nothing else |"
    yield f"| contact | {visible(release.owner)} |"
    yield f"| decision | {DECISION_WORDS[release.outcome]} (evidence `{release.evidence_sha256}`) |"
    yield f"| takes the place of | {'version ' + str(release.parent) if release.parent is not None else 'nothing: it is the first'} |"
    yield f"| form | {package.form}, computed in {package.dtype} |"
    settings = release.generation
    held = f", held to {len(settings.choices):,} choices" if settings.choices else ", held to a JSON schema" if settings.json_schema else ""
    yield f"| completions | up to {settings.max_new_tokens} tokens, the likeliest each time{held}; they end at {list(package.stop_ids)} |"
    yield ""


def _evidence(inputs: ReportInputs, release: Release) -> Iterator[str]:
    evidence, metric = inputs.evidence, deciding_metric(inputs.evidence)
    yield "## Evidence"
    yield ""
    yield visible(evidence.decision.sentence)
    yield ""
    yield f"{METRIC_WORDS.get(metric, metric).capitalize()} ({metric}), on test rows that no choice was made on:"
    yield ""
    yield f"| candidate | {metric} |"
    yield "|---|---|"
    for one in evaluations_on_test(evidence):
        yield f"| {visible(one.candidate.name)} | {estimate_text(one.summary.get(metric))} |"
    yield ""
    for comparison in deciding_comparisons(evidence):
        yield f"- against {visible(comparison.baseline)}: {estimate_text(comparison.difference, True)}"
    yield ""
    yield "| rule | verdict |"
    yield "|---|---|"
    for verdict in evidence.decision.verdicts:
        yield f"| {visible(verdict.rule.name)} | {OUTCOME_WORDS[verdict.outcome]} |"
    yield ""
    found = champion_evaluation(evidence)
    if found is not None and found.not_measured:
        yield f"{found.not_measured:,} of {len(found.example_ids):,} test rows were not measured."
        yield ""


def _bias(inputs: ReportInputs) -> Iterator[str]:
    yield "## Groups of people"
    yield ""
    report = inputs.evidence.fairness
    if report is None or not report.panels:
        yield "Not measured: how it treats groups of people is unknown."
    else:
        yield "Harm is tuned minus base; above 0 is worse for a group than before tuning."
        yield ""
        yield "| panel | measure | harm | status |"
        yield "|---|---|---|---|"
        for panel in report.panels:
            yield f"| {visible(panel.name)} | {visible(panel.measure)} | {estimate_text(panel.harm, True)} | {panel.status} |"
    yield ""


def _checks(release: Release, package: Package) -> Iterator[str]:
    kind = "as the evaluation measured them" if package.golden_kind == "evaluated" else "as the same weights write them freely"
    yield "## Checks"
    yield ""
    yield f"- {package.golden_equal} of {package.golden_prompts} golden prompts (validation rows) give the same text, {kind}, through"
    yield "  transformers' own loader in a fresh process; `python replay.py .` asks them again."
    yield "- `sha256sum -c SHA256SUMS` compares every file; `sbom.cdx.json` lists model, base, data and libraries (CycloneDX 1.6)."
    yield f"- `provetune report --verify evidence.json` computes the decision again (made by {release.made_by}, {release.made_at})."
    yield from (f"- {note}" for note in package.notes)
