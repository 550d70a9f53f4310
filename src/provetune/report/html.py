"""One offline HTML page from the records of a run."""

from __future__ import annotations

import hashlib
import html
import json
import shlex
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from provetune.records.evaluation import Evidence
from provetune.report import inputs as asked
from provetune.report import sections, words
from provetune.report.claims import CLAIM_WORDS, WORST_WORDS, claims_with, worst
from provetune.report.data_sheet import data_sheet
from provetune.report.inputs import ReportInputs
from provetune.report.kept import tradeoff_figure
from provetune.report.limits import limits
from provetune.report.mistakes import find_mistakes
from provetune.report.prompts import prompt_grid

__all__ = ["SIZE_LIMIT", "ReportInputs", "render_report"]

SIZE_LIMIT = 300_000
"""A report is smaller than this, in bytes."""


@dataclass(frozen=True)
class _Detail:
    """How much is shown; lengths in characters."""

    examples: int
    text: int
    system: int
    shots: int
    labels: int
    name: int = 120


_DETAILS = (_Detail(10, 400, 6000, 16, 300), _Detail(10, 300, 2000, 8, 150), _Detail(5, 200, 800, 3, 80, 60))


def render_report(inputs: ReportInputs) -> str:
    """The report as one HTML document without script or outside reference, smaller than `SIZE_LIMIT`.

    Shown text is cut, and says so; where long texts would still make the page too large, less of them is shown.
    The evidence is embedded as JSON where it fits; else its SHA-256 stands there.
    """
    for detail in _DETAILS:
        page = _render(inputs, detail, embedded=None)
        if len(page.encode()) < SIZE_LIMIT:
            break
    embedded = _embedded(inputs.evidence)
    if len(page.encode()) + len(embedded) + 1000 < SIZE_LIMIT:
        page = _render(inputs, detail, embedded=embedded)
    return page


def _render(inputs: ReportInputs, detail: _Detail, embedded: Markup | None) -> str:
    return environment().get_template("report.html.jinja").render(_values(inputs, detail, embedded))


def _values(inputs: ReportInputs, detail: _Detail, embedded: Markup | None) -> dict[str, Any]:
    evidence = inputs.evidence
    return {
        "evidence": evidence,
        "decision": evidence.decision,
        "audit": inputs.audit,
        "split": inputs.split,
        "plan": inputs.plan,
        "runs": inputs.runs,
        "detail": detail,
        "metric": asked.deciding_metric(evidence),
        "tests": asked.evaluations_on_test(evidence),
        "champion": asked.champion_evaluation(evidence),
        "best_prompt": asked.best_prompt(evidence),
        "comparisons": {c.baseline: c for c in asked.deciding_comparisons(evidence)},
        "validations": {e.candidate.name: e for e in evidence.evaluations if e.part == "validation"},
        "scores": sections.scores_figure(inputs),
        "differences": sections.differences_figure(inputs),
        "losses": [sections.loss_figure(run, place) for place, run in enumerate(inputs.runs, start=1)],
        "settings": [sections.settings_of(inputs, run) for run in inputs.runs],
        "chosen": [sections.chosen_word(inputs, run) for run in inputs.runs],
        "untried": sections.untried_options(inputs),
        "reasons": sections.other_reasons(inputs),
        "ledger": sections.ledger(inputs),
        "findings": sections.findings_by_severity(inputs),
        "claims": (claimed := claims_with(inputs.audit, inputs.curve)),
        "worst_claim": WORST_WORDS[worst(claimed)],
        "claim_words": CLAIM_WORDS,
        "sheet": data_sheet(inputs),
        "left_out": sections.left_out_reasons(inputs),
        "labels": sections.label_rows(inputs),
        "opponents": sections.opponents(inputs),
        "grid": prompt_grid(evidence, asked.deciding_metric(evidence)),
        "searches": inputs.searches,
        "tuning_searches": inputs.tuning_searches,
        "endpoints": inputs.endpoints,
        "retention": evidence.retention,
        "forgetting": inputs.forgetting,
        "fairness": evidence.fairness,
        "roi": evidence.roi,
        "human": evidence.human,
        "robustness": inputs.robustness,
        "tradeoff": None if evidence.retention is None else tradeoff_figure(evidence, evidence.retention),
        "mistakes": find_mistakes(inputs, shown=detail.examples, text_limit=detail.text),
        "limits": limits(inputs),
        "augmentation": inputs.augmentation,
        "curve": inputs.curve,
        "curve_figure": None if inputs.curve is None else sections.curve_figure(inputs.curve),
        "overrides": [shlex.quote(one) for one in inputs.overrides],
        "evidence_sha256": hashlib.sha256(evidence.to_json().encode()).hexdigest(),
        "embedded": embedded,
    }


def _embedded(evidence: Evidence) -> Markup:
    """The evidence as compact ASCII JSON: same content as the file, fewer bytes."""
    text = json.dumps(json.loads(evidence.to_json()), separators=(",", ":"))
    return Markup(html.escape(text, quote=False))


@cache
def environment() -> Environment:
    """The templates, with every value escaped and every filter that pages share."""
    made = Environment(
        loader=PackageLoader("provetune.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        estimate=words.estimate_text,
        amount=words.amount_text,
        money=words.money_text,
        reach=words.reach_text,
        number=words.number_text,
        duration=words.duration_text,
        key=words.key_text,
        moment=words.moment_text,
        short=words.shorten,
        metric=words.metric_text,
        rule=words.rule_text,
    )
    made.globals.update(kind=words.KIND_WORDS, method=words.METHOD_WORDS, verdict=words.DECISION_WORDS, outcome=words.OUTCOME_WORDS)
    return made
