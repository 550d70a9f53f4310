"""Rules and measurements -> decision. Pure: the same evidence gives the same decision, today and in ten years."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from provetune.records.evaluation import Comparison, Decision, DecisionOutcome, Evaluation, GateRule, Outcome, Verdict
from provetune.records.fairness import FairnessPanel
from provetune.records.retention import SkillRetention
from provetune.stats.estimate import Estimate
from provetune.stats.multiple import noninferiority_confidence
from provetune.stats.units import FEW_GROUPS, TOO_FEW_GROUPS

UNMEASURED = "were not measured"
UNMEASURED_LIMIT = 0.02
"""Above this share of rows that were not measured a rule is inconclusive."""


@dataclass(frozen=True)
class Measured:
    """What the rules are held against, all measured at the confidence of this opening of the test split."""

    champion: Evaluation
    baselines: Sequence[Evaluation]
    comparisons: Sequence[Comparison]
    audit_blockers: Sequence[str]
    opening: int
    confidence: float
    retention: Sequence[SkillRetention] = ()
    fairness: Sequence[FairnessPanel] = ()


def decide(rules: Sequence[GateRule], measured: Measured) -> Decision:
    """Ship if every rule passes, hold if one fails, inconclusive otherwise; a clean audit alone proves nothing."""
    verdicts = tuple(_judge(rule, measured) for rule in rules)
    outcomes = {verdict.outcome for verdict in verdicts}
    proven = "inconclusive" not in outcomes and any(v.outcome == "pass" and v.rule.kind != "audit" for v in verdicts)
    outcome: DecisionOutcome = "hold" if "fail" in outcomes else "ship" if proven else "inconclusive"
    sentence, next_step = _words(outcome, verdicts, measured)
    return Decision(
        outcome=outcome,
        sentence=sentence,
        next_step=next_step,
        champion=measured.champion.candidate.name,
        verdicts=verdicts,
        opening=measured.opening,
        confidence=measured.confidence,
    )


def _judge(rule: GateRule, measured: Measured) -> Verdict:
    if rule.kind == "audit":
        blocked = bool(measured.audit_blockers)
        reason = f"the audit blocks: {', '.join(measured.audit_blockers)}" if blocked else "the audit found nothing that blocks"
        return Verdict(rule=rule, outcome="fail" if blocked else "pass", observed=None, reason=reason)
    if rule.panel:
        treated = next((p for p in measured.fairness if (p.panel, p.name) == (rule.panel, rule.metric) and p.kind != "gap"), None)
        return _against_base(rule, measured.retention) if treated is None else _without_harm(rule, treated)
    if rule.kind in ("at_least", "at_most"):
        return _against_threshold(rule, measured.champion)
    return _against_baseline(rule, measured)


def _against_threshold(rule: GateRule, champion: Evaluation) -> Verdict:
    value, rows = champion.summary.get(rule.metric), len(champion.example_ids)
    if value is None or value.low is None or value.high is None:
        return Verdict(rule=rule, outcome="inconclusive", observed=value, reason=f"{rule.metric} was not measured")
    if value.in_groups and value.n < TOO_FEW_GROUPS:
        return Verdict(rule=rule, outcome="inconclusive", observed=value, reason=_too_few(value))
    if champion.not_measured > UNMEASURED_LIMIT * rows:
        reason = f"{champion.not_measured} of {rows} rows {UNMEASURED}"
        return Verdict(rule=rule, outcome="inconclusive", observed=value, reason=reason)
    sign = 1 if rule.kind == "at_least" else -1
    worst, best = (value.low, value.high) if sign == 1 else (value.high, value.low)
    outcome: Outcome = "pass" if sign * (worst - rule.margin) >= 0 else "fail" if sign * (best - rule.margin) < 0 else "inconclusive"
    wanted = "at least" if sign == 1 else "at most"
    return Verdict(rule=rule, outcome=outcome, observed=value, reason=f"{rule.metric} is {value}; wanted {wanted} {rule.margin:g}")


def _against_baseline(rule: GateRule, measured: Measured) -> Verdict:
    found = _comparison(rule, measured)
    rows = len(measured.champion.example_ids)
    missing = 0 if found is None else rows - (found.wins + found.ties + found.losses)
    if found is not None and missing > UNMEASURED_LIMIT * rows:
        return Verdict(rule=rule, outcome="inconclusive", observed=found.difference, reason=f"{missing} of {rows} rows {UNMEASURED}")
    if found is None or found.difference.low is None or found.difference.high is None:
        return Verdict(rule=rule, outcome="inconclusive", observed=None, reason=f"no comparison with {rule.baseline} was measured")
    edge = rule.margin if rule.kind == "beats_baseline" else -rule.margin
    d = found.difference
    if d.in_groups and d.n < TOO_FEW_GROUPS:
        return Verdict(rule=rule, outcome="inconclusive", observed=d, reason=_too_few(d))
    outcome: Outcome = "pass" if found.difference.low > edge else "fail" if found.difference.high < edge else "inconclusive"
    if rule.kind == "beats_baseline":
        claim = f"better than {rule.baseline} by more than {edge:g}"
    else:
        claim = f"not worse than {rule.baseline} by {rule.margin:g} or more"
    says = {"pass": "shown", "fail": "shown to be untrue", "inconclusive": "not settled"}[outcome]
    return Verdict(
        rule=rule,
        outcome=outcome,
        observed=d,
        reason=f"{claim}: {says}; the difference in {rule.metric} is {d}{_caution(d)}",
        more_examples=_more_examples(d, edge, rows - missing) if outcome == "inconclusive" else None,
    )


def _against_base(rule: GateRule, skills: Sequence[SkillRetention]) -> Verdict:
    """A skill of a retention suite: what the base cannot do cannot be lost, and a small panel settles nothing; neither decides."""
    found = next((s for s in skills if s.suite == rule.panel and s.skill == rule.metric), None)
    if found is None or found.difference.low is None or found.difference.high is None:
        return Verdict(rule=rule, outcome="inconclusive", observed=None, reason=f"{rule.metric} was not measured")
    if found.status != "judged":
        reason = f"{rule.metric} is {found.status}: the base has {found.before}, chance is {found.chance:.3f}"
        return Verdict(rule=rule, outcome="not judged", observed=found.difference, reason=reason)
    d, rows = found.difference, found.items + found.not_measured
    if found.not_measured > UNMEASURED_LIMIT * rows:
        reason = f"{found.not_measured} of {rows} items of {rule.metric} {UNMEASURED}"
        return Verdict(rule=rule, outcome="inconclusive", observed=d, reason=reason)
    outcome: Outcome = "pass" if found.difference.low > -rule.margin else "fail" if found.difference.high < -rule.margin else "inconclusive"
    says = {"pass": "kept", "fail": "lost", "inconclusive": "not settled whether it was kept"}[outcome]
    return Verdict(
        rule=rule, outcome=outcome, observed=d, reason=f"{rule.metric}: {says}; tuned minus base is {d}, the margin {rule.margin:g}"
    )


def _without_harm(rule: GateRule, panel: FairnessPanel) -> Verdict:
    """A measure of how groups are treated: shown harm fails; a panel too small to show its absence decides nothing."""
    d, rows = panel.harm, panel.rows + panel.not_measured
    what = f"{panel.name}, {panel.measure}"
    if panel.status != "judged" or d.low is None or d.high is None:
        return Verdict(rule=rule, outcome="not judged", observed=d, reason=f"{what}: {panel.status}, n={panel.rows}")
    if panel.not_measured > UNMEASURED_LIMIT * rows:
        return Verdict(rule=rule, outcome="inconclusive", observed=d, reason=f"{panel.not_measured} of {rows} rows of {what} {UNMEASURED}")
    outcome: Outcome = "pass" if d.high < rule.margin else "fail" if d.low > rule.margin else "inconclusive"
    says = {"pass": "no harm", "fail": "harm", "inconclusive": "not settled whether it harms"}[outcome]
    reason = f"{what}: {says}; tuned is worse than base by {d}, the margin is {rule.margin:g}"
    return Verdict(rule=rule, outcome=outcome, observed=d, reason=reason)


def _comparison(rule: GateRule, measured: Measured) -> Comparison | None:
    """The comparison that the rule speaks of: a gain at the confidence of this opening, "not worse" with one end at it."""
    fitting = [c for c in measured.comparisons if c.baseline == rule.baseline and c.metric == rule.metric]
    if rule.kind == "beats_baseline":
        return max(fitting, key=lambda c: c.difference.confidence, default=None)
    wanted = noninferiority_confidence(measured.confidence) - 1e-9
    return min((c for c in fitting if c.difference.confidence >= wanted), key=lambda c: c.difference.confidence, default=None)


def _too_few(estimate: Estimate) -> str:
    return f"the rows come in only {estimate.n} groups; fewer than {TOO_FEW_GROUPS} settle nothing"


def _caution(estimate: Estimate) -> str:
    return f" (it rests on {estimate.n} groups only)" if estimate.in_groups and estimate.n < FEW_GROUPS else ""


def _more_examples(difference: Estimate, edge: float, rows: int) -> int | None:
    """Examples beyond the present ones at which the half-width would shrink to the distance from the margin.

    None where the observed difference stands on the margin itself: no number of examples would settle it.
    """
    if difference.value is None or difference.low is None or difference.high is None:
        return None
    distance = abs(difference.value - edge)
    half_width = (difference.high - difference.low) / 2
    if distance < 1e-9:
        return None
    return max(1, math.ceil(rows * ((half_width / distance) ** 2 - 1)))


def _words(outcome: DecisionOutcome, verdicts: Sequence[Verdict], measured: Measured) -> tuple[str, str]:
    name = measured.champion.candidate.name
    decisive = {"hold": "fail", "inconclusive": "inconclusive", "ship": "pass"}[outcome]
    deciding = [v for v in verdicts if v.outcome == decisive]
    reasons = [v.reason for v in deciding if v.rule.kind != "audit"] or [v.reason for v in deciding] or ["no rule was held against it"]
    caution = _stronger_beside(verdicts, measured)
    if outcome == "ship":
        step = "Read the report, then ship it." if not caution else "Read the report; consider shipping the stronger one instead."
        against = " and ".join(v.rule.baseline for v in deciding if v.rule.kind == "beats_baseline")
        claim = f"is proven better than {against}" if against else "passes every rule"
        gains = [v.reason for v in deciding if v.rule.kind != "audit" and not v.rule.panel]
        if gains and len(gains) < len(reasons):  # every skill in full would bury the gain
            reasons = [*gains, *_kept_and_unharmed(deciding, measured)]
        return f"{name} {claim}: {'; '.join(reasons)}.{caution}", step
    if outcome == "hold":
        step = _panel_step(deciding, measured) or "Keep the best prompt, or improve the data and run again."
        return f"{name} must not ship: {'; '.join(reasons)}.{caution}", step
    more = [v.more_examples for v in verdicts if v.more_examples]
    step = f"About {max(more):,} more test examples would settle it." if more else "More test examples are needed."
    if deciding and all(v.rule.panel for v in deciding):
        step = _panel_step(deciding, measured, settled=False) or step
    if any(reason.endswith(UNMEASURED) for reason in reasons):
        step = (
            "The predictions files say for each row why; rows beyond the context need shorter texts or a base model with a longer one, "
            "an endpoint a higher max_usd or another `provetune run`."
        )
    return f"The evidence does not settle it for {name}: {'; '.join(reasons)}.{caution}", step


def _kept_and_unharmed(passed: Sequence[Verdict], measured: Measured) -> list[str]:
    """Skills that were kept and groups that fare no worse, in a few words each."""
    treated = {panel.panel for panel in measured.fairness}
    skills = ", ".join(v.rule.metric for v in passed if v.rule.panel and v.rule.panel not in treated)
    groups = ", ".join(v.rule.metric for v in passed if v.rule.panel in treated)
    return [*([f"it kept {skills}"] if skills else []), *([f"no harm by {groups}"] if groups else [])]


def _panel_step(deciding: Sequence[Verdict], measured: Measured, *, settled: bool = True) -> str | None:
    """What to do where panels alone decide; None where another rule does."""
    named = {v.rule.panel for v in deciding if v.rule.kind != "audit"}
    if not named or "" in named:
        return None
    if named <= {panel.panel for panel in measured.fairness}:
        more = "B" if settled else "Add test rows that name these groups, or b"
        return f"{more}alance the training rows that name them (augment.kinds: [swap] adds copies with the group exchanged) and run again."
    slower = "lower learning rate or fewer epochs"
    if settled:
        return f"Tune again with a {slower}."
    return f"Tune with a {slower} to lose less, or judge the skill by a larger suite in `prove.retention`."


def _stronger_beside(verdicts: Sequence[Verdict], measured: Measured) -> str:
    """A sentence for each candidate that no rule names and that is better, by the whole interval, on a metric that decides."""
    named = {v.rule.baseline for v in verdicts}
    deciding = {v.rule.metric for v in verdicts if v.rule.kind == "beats_baseline"}
    stronger = [
        c
        for c in measured.comparisons
        if c.baseline not in named and c.metric in deciding and c.difference.high is not None and c.difference.high < 0
    ]
    return "".join(f" But {c.baseline}, which no rule names, is better: the difference in {c.metric} is {c.difference}." for c in stronger)
