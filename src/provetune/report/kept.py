"""What tuning gained on the task beside what it kept of the base's skills."""

from __future__ import annotations

from markupsafe import Markup

from provetune.records.evaluation import Evidence
from provetune.records.retention import RetentionReport
from provetune.report.inputs import NOT_MEASURED, best_prompt, deciding_comparisons
from provetune.report.svg import ChartText
from provetune.report.tradeoff import TradeoffPoint, tradeoff, tradeoff_table
from provetune.stats.estimate import Estimate

NOTHING = Estimate(0.0, 0.0, 0.0, 0, 0.95, "by definition")


def tradeoff_figure(evidence: Evidence, kept: RetentionReport) -> tuple[Markup, Markup]:
    """The champion and the best prompt, which keeps everything and is what gains are counted from."""
    best = best_prompt(evidence)
    name = "" if best is None else best.candidate.name
    gain = next((c.difference for c in deciding_comparisons(evidence) if c.baseline == name), NOT_MEASURED)
    points = [
        TradeoffPoint(evidence.champion, gain, kept.kept or NOT_MEASURED, strong=True),
        TradeoffPoint(f"{name or 'the base'}, the best prompt", NOTHING, NOTHING),
    ]
    margin = max((skill.margin for skill in kept.skills), default=0.0)
    text = ChartText(
        "tradeoff",
        "What was gained on the task, and what was kept of the base's skills",
        "Higher is a larger gain over the best prompt; further left is more forgotten. The dashed line is the loss that the rules allow.",
        "skills kept (difference to the base)",
        "gain on the task",
    )
    return Markup(tradeoff(points, text, margin)), Markup(tradeoff_table(points, text))
