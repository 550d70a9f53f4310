"""What prompting reaches, before anything is tuned: every strategy on the validation rows, and whether tuning is worth trying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from provetune.hashing import fingerprint
from provetune.metrics import metric_named
from provetune.records.baseline import BaselineReport, StrategyResult
from provetune.records.evaluation import Evaluation
from provetune.stats.estimate import Estimate
from provetune.stats.power import DISCORDANCES, provable_gains
from provetune.store import StepKey
from provetune.workflow.contender import Contender
from provetune.workflow.opponents import opponents
from provetune.workflow.prepare import prepare
from provetune.workflow.project import Project, begin_run, need_torch
from provetune.workflow.prompts import prompt_candidates

Worth = Literal["yes", "no", "unclear"]


def baseline_project(project: Project) -> BaselineReport:
    """Measure every opponent on the validation rows; nothing is trained and the test rows stay sealed."""
    need_torch()
    with project.store.locked():
        begin_run(project, leads=False)
        prepared = prepare(project)
        found, _ = opponents(project, prepared, prompt_candidates(project, prepared.train, prepared.settings))
        test_rows, margin = len(prepared.split.test_ids), project.spec.prove.margin
        measured = [evaluation.fingerprint for opponent in found for evaluation in opponent.measured]
        inputs = {"measured": fingerprint(measured), "asked": fingerprint([project.metric, test_rows, margin])}
        key = StepKey("baseline", 1, inputs)
        return project.store.once(key, BaselineReport, lambda: baseline_report(project.metric, found, test_rows, margin))


def baseline_report(metric: str, found: Sequence[Contender], test_rows: int, margin: float) -> BaselineReport:
    """The table, best first, and the sentence. Gains are planned for at 80 % power and 95 % confidence."""
    results = sorted((_result(metric, opponent) for opponent in found), key=lambda result: _rank(result, metric))
    prompts = [result for result in results if result.kind in ("prompt", "endpoint")]
    winners = {opponent.candidate.name: opponent.winner for opponent in found}
    discordance = _discordance(metric, [winners[result.name] for result in prompts[:2]])
    # two prompts that fail alike say nothing of how a tuned model will differ from them
    told = discordance if discordance is not None and discordance >= DISCORDANCES[0] else None
    provable = {f"{found.discordance:.3g}": found.gain for found in provable_gains(test_rows, told, margin=margin)}
    best = prompts[0].value if prompts else None
    worth, sentence = _worth(metric, best, test_rows, provable)
    return BaselineReport(
        metric=metric,
        higher_is_better=metric_named(metric).higher_is_better,
        results=tuple(results),
        validation_rows=len(winners[results[0].name].example_ids) if results else 0,
        test_rows=test_rows,
        discordance=discordance,
        provable=provable,
        worth_trying=worth,
        sentence=sentence,
    )


def _result(metric: str, opponent: Contender) -> StrategyResult:
    found = opponent.winner
    asked = len(found.example_ids) - found.not_measured
    local = opponent.candidate.kind != "linear"
    return StrategyResult(
        name=opponent.candidate.name,
        kind=opponent.candidate.kind,
        candidate=opponent.candidate,
        variants=len(opponent.measured),
        value=found.summary[metric],
        usable=found.parsed,
        not_measured=found.not_measured,
        prompt_tokens=found.prompt_tokens / asked if asked and local else None,
        completion_tokens=found.completion_tokens / asked if asked and local else None,
        seconds_per_1000=1000 * found.seconds / asked if asked else None,
        usd_per_1000=None,
    )


def _rank(result: StrategyResult, metric: str) -> tuple[float, str]:
    value = result.value.value
    sign = -1.0 if metric_named(metric).higher_is_better else 1.0
    return (float("inf") if value is None else sign * value, result.name)


def _discordance(metric: str, pair: Sequence[Evaluation]) -> float | None:
    """Share of rows with another first observation; None without two evaluations of the same rows, or where they never differ."""
    if len(pair) < 2:
        return None
    both = [(a, b) for a, b in zip(*(e.observations[metric] for e in pair), strict=True) if a is not None and b is not None]
    share = float(np.mean([a[0] != b[0] for a, b in both])) if both else 0.0
    return share or None


def _worth(metric: str, best: Estimate | None, test_rows: int, provable: dict[str, float | None]) -> tuple[Worth, str]:
    gains = [gain for gain in provable.values() if gain is not None]
    rows = f"{test_rows:,} test rows"
    if gains:
        upper = f" to {100 * max(gains):.1f}" if len(gains) > 1 else ""
        can = f"the {rows} can prove gains of {100 * min(gains):.1f}{upper} points or more"
    else:
        can = f"the {rows} can prove no gain of any size; more are needed"
    if best is None or best.value is None or best.low is None or best.high is None:
        return "unclear", f"No prompt was measured; {can}."
    top = metric_named(metric).bounds[1]
    if not metric_named(metric).higher_is_better or not np.isfinite(top):
        return "unclear", f"The best prompt has {metric} {best.value:.3f}, a figure without a highest value; {can}."
    left, most, least = top - best.value, top - best.low, top - best.high
    says = f"the best prompt reaches {metric} {best.value:.3f} and leaves {100 * left:.1f} points to gain"
    if not gains or most <= min(gains):
        return "no", f"Tuning is not worth trying on these rows: {says}, but {can}."
    if least > max(gains):
        return "yes", f"Tuning is worth trying: {says}, and {can}."
    return "unclear", f"Tuning may be worth trying: {says}, and {can}."
