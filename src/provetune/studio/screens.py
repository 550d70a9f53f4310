"""What each screen shows: values for its template, read from the records of a project. Nothing is changed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from provetune.records.baseline import BaselineReport
from provetune.records.blind_votes import VoteReport
from provetune.records.candidate import Plan
from provetune.records.data import AuditReport, Example, Finding
from provetune.records.evaluation import Evidence
from provetune.report import inputs as asked
from provetune.report.claims import CLAIM_WORDS, WORST_WORDS, worst
from provetune.report.svg import BarRow, ChartText, ForestRow, bars, bars_table, forest_plot, forest_table
from provetune.spec.text import SPEC_FILE
from provetune.store import Store
from provetune.studio.actions import Desk
from provetune.studio.live import run_state
from provetune.studio.reading import evidence_of, json_file, newest, opened, run_named, runs_of, shown_rows, unsealed

ROWS_A_PAGE = 5
EXAMPLES_A_FINDING = 3
SEVERITIES = ("blocker", "warning", "info")
Values = dict[str, Any]
Query = Mapping[str, str]


def data(folder: Path, query: Query, desk: Desk) -> Values:
    """Rows through the model's own template, the trained tokens marked; sealed test rows are left out and counted."""
    project = opened(folder)
    found, sealed = unsealed(folder, project.examples, query.get("q", ""))
    pages = max(1, -(-len(found) // ROWS_A_PAGE))
    page = min(max(1, _number(query.get("page", "1"))), pages)
    rows = shown_rows(project, found[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE])
    return {
        "spec": project.spec,
        "model": project.model,
        "metric": project.metric,
        "count": len(project.examples),
        "labels": project.labels,
        "found": len(found),
        "sealed": sealed,
        "rows": rows,
        "page": page,
        "pages": pages,
        "words": query.get("q", ""),
    }


def audit(folder: Path, query: Query, desk: Desk) -> Values:
    """Findings with examples and remedies, the five claims."""
    report = newest(folder, "audit", AuditReport)
    if report is None:
        return {"report": None}
    project = opened(folder)
    visible, _ = unsealed(folder, project.examples)
    rows = {example.id: example for example in visible}
    findings = [
        (severity, [(one, *_examples(one, rows)) for one in report.findings if one.severity == severity]) for severity in SEVERITIES
    ]
    return {
        "report": report,
        "old": report.dataset != project.dataset.fingerprint,
        "findings": [pair for pair in findings if pair[1]],
        "claim_words": CLAIM_WORDS,
        "worst_claim": WORST_WORDS[worst(report.claims)],
        "fixes": desk.document(folder, "fix_plan/"),
    }


def _examples(finding: Finding, rows: Mapping[str, Example]) -> tuple[list[Example], int]:
    """The first rows of a finding, and how many of its named ones are sealed."""
    shown = [rows[name] for name in finding.example_ids if name in rows]
    return shown[:EXAMPLES_A_FINDING], len(finding.example_ids) - len(shown)


def plan(folder: Path, query: Query, desk: Desk) -> Values:
    """Memory, time and money of each method here and on rented machines."""
    return {"plan": newest(folder, "plan", Plan), "cost": desk.document(folder, "cost_plan/")}


def baselines(folder: Path, query: Query, desk: Desk) -> Values:
    """What prompting reaches on the validation rows; from the last run where `baseline` was not asked."""
    report = newest(folder, "baseline", BaselineReport)
    found = evidence_of(folder)
    if report is not None:
        rows = [(one.name, one.kind, one.value, one.usable, one.not_measured) for one in report.results]
        metric = report.metric
    elif found is not None:
        metric = asked.deciding_metric(found[1])
        measured = [e for e in found[1].evaluations if e.part == "validation" and e.candidate.kind != "adapter" and metric in e.summary]
        rows = [(e.candidate.name, e.candidate.kind, e.summary[metric], e.parsed, e.not_measured) for e in measured]
        rows.sort(key=lambda row: -(row[2].value or 0.0))
    else:
        return {"report": None, "rows": []}
    text = ChartText("baselines", f"Prompts and other opponents by {metric}", "Validation rows; whiskers are intervals.", metric)
    drawn = [BarRow(name, value, strong=place == 0) for place, (name, _, value, *_) in enumerate(rows)]
    return {"report": report, "rows": rows, "metric": metric, **_figure(bars(drawn, text), bars_table(drawn, text))}


def train(folder: Path, query: Query, desk: Desk) -> Values:
    """The newest run and the job that works on it."""
    runs = runs_of(folder)
    name = query.get("run", "")
    run = run_named(folder, name) if name else runs[0] if runs else None
    job = desk.active(folder) or next(iter(desk.recent(folder, 1)), None)
    newest_shown = run is not None and bool(runs) and run == runs[0]
    return {
        "run": None if run is None else run_state(run),
        "job": job if run is None or newest_shown else None,
        "runs": [one.name for one in runs[:20]],
        "run_count": len(runs),
        "has_report": run is not None and (run / "report.html").is_file(),
    }


def compare(folder: Path, query: Query, desk: Desk) -> Values:
    """Blind votes on the latest proof, if there are any."""
    files = sorted((folder / "votes").glob("*/blind-votes.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    report = VoteReport.from_json(files[0].read_text(encoding="utf-8")) if files else None
    return {"votes": report, "proven": evidence_of(folder) is not None}


def label(folder: Path, query: Query, desk: Desk) -> Values:
    """Who labelled how much."""
    file = folder / "labels" / "votes.jsonl"
    counts: dict[str, int] = {}
    for line in file.read_text(encoding="utf-8").split("\n") if file.is_file() else []:
        if line.strip():
            name = str(json.loads(line).get("annotator", "?"))
            counts[name] = counts.get(name, 0) + 1
    return {"annotators": counts}


def verdict(folder: Path, query: Query, desk: Desk) -> Values:
    """The decision with its rules and differences."""
    found = evidence_of(folder)
    if found is None:
        return {"evidence": None}
    run, evidence = found
    metric = asked.deciding_metric(evidence)
    rows = [ForestRow(c.baseline, c.difference, asked.margin_against(evidence, c.baseline)) for c in asked.deciding_comparisons(evidence)]
    text = ChartText(
        "differences",
        f"Tuned model minus each opponent, {metric}",
        "Right of zero: the tuned model is better. Dashed: the margin.",
        "difference",
    )
    return {
        "evidence": evidence,
        "decision": evidence.decision,
        "champion": asked.champion_evaluation(evidence),
        "best": asked.best_prompt(evidence),
        "metric": metric,
        "run": run.name,
        "has_report": (run / "report.html").is_file(),
        **_figure(forest_plot(rows, text), forest_table(rows, text)),
    }


def evidence(folder: Path, query: Query, desk: Desk) -> Values:
    """What was fixed when, every opening of the test rows, the environment, every record."""
    found = evidence_of(folder)
    if found is None:
        return {"evidence": None, "openings": Store(folder).openings()}
    run, held = found
    files = [(str(file.relative_to(run)), file.stat().st_size) for file in sorted(run.rglob("*")) if file.is_file()]
    return {
        "evidence": held,
        "openings": Store(folder).openings(),
        "run": run.name,
        "environment": json_file(run / "environment.json") or held.environment,
        "files": files,
        "checked": desk.document(folder, "decision/"),
    }


def _figure(chart: str, table: str) -> Values:
    return {"chart": Markup(chart), "table": Markup(table)}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def card(name: str, folder: Path) -> Values:
    """One project for the list: its last decision, and when."""
    found = _safely(lambda: evidence_of(folder))
    decision = found[1] if isinstance(found, tuple) else None
    return {
        "name": name,
        "draft": not (folder / SPEC_FILE).is_file(),
        "decision": decision.decision if isinstance(decision, Evidence) else None,
        "made_at": decision.made_at if isinstance(decision, Evidence) else "",
        "runs": len(runs_of(folder)),
    }


def _safely(read: Callable[[], Any]) -> Any:
    """What is damaged in one project does not hide the others."""
    from provetune.errors import ProvetuneError

    try:
        return read()
    except ProvetuneError:
        return None


SCREENS: dict[str, Callable[[Path, Query, Desk], Values]] = {
    "data": data,
    "audit": audit,
    "label": label,
    "plan": plan,
    "baselines": baselines,
    "train": train,
    "verdict": verdict,
    "compare": compare,
    "evidence": evidence,
}
"""The screens of a project by their address, in the order of the way through it."""

TITLES = {
    "data": "Data",
    "audit": "Audit",
    "label": "Label",
    "plan": "Plan",
    "baselines": "Prompts",
    "train": "Train",
    "verdict": "Verdict",
    "compare": "Compare",
    "evidence": "Evidence",
    "settings": "Project file",
}
COMMANDS = {
    "data": "init FILE",
    "audit": "audit",
    "label": "label --annotator NAME",
    "plan": "plan",
    "baselines": "baseline",
    "train": "run",
    "verdict": "report --open",
    "compare": "vote --rater NAME",
    "evidence": "report --verify runs/latest/evidence.json",
    "settings": "schema",
}
"""What does the same in the terminal."""
SECTIONS = {
    "data": ("data",),
    "audit": ("audit", "data"),
    "plan": ("budget", "base"),
    "baselines": ("baselines", "prove"),
    "train": ("train", "base", "budget"),
    "verdict": ("prove",),
}
"""The sections of the project file that a screen stands for."""
