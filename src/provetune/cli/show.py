"""Records as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from provetune.cli.session import Line, aligned, shown_path
from provetune.records.data import AuditReport, TokenProfile
from provetune.records.evaluation import Decision, Evidence
from provetune.report.words import DECISION_WORDS, estimate_text, moment_text

if TYPE_CHECKING:
    from provetune.workflow.doctor import Diagnosis  # loads what only training needs
    from provetune.workflow.start import Started

DECISION_STYLES = {"ship": "bold green", "hold": "bold red", "inconclusive": "bold yellow"}
DECISION_CODES = {"ship": 0, "hold": 3, "inconclusive": 4}
_SEVERITIES = {"blocker": "bold red", "warning": "yellow", "info": ""}
_FIRST_IDS = 5


def started_lines(started: Started, audit: str) -> list[Line]:
    """What `init` found and wrote; `audit` is the next command."""
    labels = f", {started.labels} labels" if started.labels else ""
    columns = f", {columns_text(started.columns)}" if started.columns else ""
    return [
        (
            f"Wrote {shown_path(started.project_file)}: {started.rows:,} rows of {started.data} ({started.format}), "
            f"task {started.task}{labels}, metric {started.metric}{columns}.",
            "bold",
        ),
        *((line, "yellow") for line in started.left_out),
        (f"Next: correct the file where it is wrong, then {audit} reviews the rows.", ""),
    ]


def audit_lines(report: AuditReport, sources: Mapping[str, str], commands: tuple[str, str]) -> list[Line]:
    """Findings, token profile, result; `sources` maps an id to `file:line`, `commands` are the audit's and the run's."""
    lines: list[Line] = []
    for finding in report.findings:
        lines.append((f"{finding.severity.upper()} {finding.check}: {finding.message}", _SEVERITIES[finding.severity]))
        if finding.example_ids:
            named = ", ".join(f"{i} ({sources[i]})" if i in sources else i for i in finding.example_ids[:_FIRST_IDS])
            more = len(finding.example_ids) - _FIRST_IDS
            lines.append((f"  rows: {named}{' and more' if more > 0 else ''}", ""))
        if finding.remedy:
            lines.append((f"  remedy: {finding.remedy}", ""))
    if report.tokens is not None:
        lines.append((_tokens_text(report.tokens), ""))
    lines += [(text, "") for text in report.not_measured]
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    labels = f" with {len(report.label_counts):,} labels" if report.label_counts else ""
    blocked = f"{len(report.blockers)} block{'s' if len(report.blockers) == 1 else ''}" if report.blockers else "nothing blocks"
    lines.append((f"{report.count:,} rows{labels}: {blocked}, {warnings} warning{'' if warnings == 1 else 's'}.", "bold"))
    audit, run = commands
    lines.append((f"Next: mend what blocks, then {audit} again." if report.blockers else f"Next: {run} trains and proves.", ""))
    return lines


def _tokens_text(tokens: TokenProfile) -> str:
    return (
        f"tokens ({tokens.tokenizer}): median {tokens.median:,}, 95 % up to {tokens.p95:,}, longest {tokens.longest:,}, "
        f"context {tokens.context_length:,}; {tokens.total:,} in all, {tokens.supervised_total:,} of them learned"
    )


def decision_lines(evidence: Evidence, files: Mapping[str, Path], next_step: str) -> list[Line]:
    """The verdict: word, sentence, all candidates on the test split, which opening it was, files, what to do next."""
    decision = evidence.decision
    lines: list[Line] = [
        (DECISION_WORDS[decision.outcome], DECISION_STYLES[decision.outcome]),
        (decision.sentence, ""),
        ("", ""),
        *((row, "") for row in candidates_table(evidence)),
        ("", ""),
        (opening_text(decision), ""),
        *((f"{name}: {shown_path(file)}", "") for name, file in files.items()),
        (f"Next: {next_step}", ""),
    ]
    return lines


def candidates_table(evidence: Evidence) -> list[str]:
    """One line per candidate on the test split: value with interval, rows, share of completions that could be read."""
    metric = evidence.fixed_before_training.get("metric") or next(rule.metric for rule in evidence.rules if rule.metric)
    rows = [("on test", metric, "n", "parsed")]
    for found in (e for e in evidence.evaluations if e.part == "test"):
        name = f"{found.candidate.name}{' (chosen)' if found.candidate.name == evidence.champion else ''}"
        parsed = "not measured" if found.parsed.value is None else f"{100 * found.parsed.value:.1f} %"
        summary = found.summary[metric]
        rows.append((name, estimate_text(summary), f"{summary.n:,}", parsed))
    return aligned(rows)


def opening_text(decision: Decision) -> str:
    """Which opening of the test split the decision was made at, and at which confidence."""
    stricter = "" if decision.opening == 1 else "; every further opening is judged more strictly"
    return f"opening {decision.opening} of the test split, intervals at {100 * decision.confidence:.4g} % confidence{stricter}"


def verified_lines(evidence: Evidence, file: Path) -> list[Line]:
    """A decision that was computed again from its evidence file."""
    decision = evidence.decision
    return [
        (DECISION_WORDS[decision.outcome], DECISION_STYLES[decision.outcome]),
        (decision.sentence, ""),
        ("", ""),
        *((row, "") for row in candidates_table(evidence)),
        ("", ""),
        (opening_text(decision), ""),
        (f"verified: {shown_path(file)} gives this decision again, computed from its observations alone.", "bold"),
        (f"Next: {decision.next_step}", ""),
    ]


def recording_line(evidence: Evidence) -> Line:
    """Says that what follows was not computed on this machine."""
    when = f"made on {moment_text(evidence.made_at)} by {evidence.made_by}"
    return f"This is a recording {when}, not a run on this machine: the training extra is not installed.", "bold yellow"


def diagnosis_lines(found: Diagnosis) -> list[Line]:
    """The doctor's findings, one a line, then the result and what to do next."""
    memory = f"{found.memory_free_gib:g} GiB free of {found.memory_gib:g} GiB"
    facts = {
        **{name: version for name, version in found.versions.items()},
        "cores": str(found.cores),
        "memory": memory,
        "disk": f"{found.disk_free_gib:g} GiB free",
        "GPU": found.gpu,
        "training extra": f"missing: {', '.join(found.missing)}; {found.install}" if found.missing else "installed",
        "starter model": found.starter,
        "hub": found.hub,
        "project folder": f"{found.folder}, {'writable' if found.folder_writable == 'ok' else found.folder_writable}",
    }
    width = max(map(len, facts))
    lines: list[Line] = [(f"{name.ljust(width)}  {text}", "") for name, text in facts.items()]
    if found.cannot_train:
        return [
            *lines,
            (f"Nothing can be trained here: {found.cannot_train}.", "bold red"),
            ("Next: mend that, then run `provetune doctor` again; audits and reports work meanwhile.", ""),
        ]
    return [
        *lines,
        ("This machine can train.", "bold green"),
        ("Next: `provetune demo`, or `provetune init FILE` with your own examples.", ""),
    ]


def columns_text(columns: Mapping[str, str]) -> str:
    """Which column is what, in words.

    >>> columns_text({"prompt": "message", "target": "queue"})
    "prompt from 'message', target from 'queue'"
    """
    return ", ".join(f"{part} from {name!r}" for part, name in columns.items())
