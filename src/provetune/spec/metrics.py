"""Names of metrics in the project file, and which of them a task can be decided by."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# fmt: off
MetricName = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "f1_micro", "f1_weighted", "mcc", "ece", "brier",
    "exact_match", "token_f1", "rouge_1", "rouge_2", "rouge_l", "bleu", "chrf", "semantic_similarity", "perplexity", "bits_per_byte",
    "json_valid", "schema_valid", "field_f1", "tool_calls", "grounded", "abstention", "instructions", "instructions_all",
    "style", "conciseness",
]
# fmt: on
UserMetric = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
"""A function of the user's own, `module:function`: naming it here is what allows provetune to run it."""
Metric = Literal["auto", MetricName] | UserMetric
Measured = MetricName | UserMetric

WITH_LABELS = {"accuracy", "balanced_accuracy", "f1_macro", "f1_micro", "f1_weighted", "mcc", "ece", "brier"}
NEVER_DECIDES = {
    "ece": "needs the labels' probabilities, which not every candidate has",
    "brier": "needs the labels' probabilities, which not every candidate has",
    "perplexity": "needs log-likelihoods, which not every candidate has",
    "bits_per_byte": "needs log-likelihoods, which not every candidate has",
}


def metric_fault(metric: str, task: str, schema: bool, *, decides: bool) -> str | None:
    """Why this metric cannot be measured for a task (with a schema or without), or cannot decide; None where it can."""
    if metric in WITH_LABELS and task != "classify":
        return f"metric {metric} needs labels, task {task} has none; use exact_match or rouge_l"
    if metric == "schema_valid" and not schema:
        return "metric schema_valid needs a JSON Schema; name its file in task.schema, or use json_valid"
    if decides and metric in NEVER_DECIDES:
        return f"metric {metric} {NEVER_DECIDES[metric]}: it cannot decide; name it in prove.also to see it beside the others"
    return None
