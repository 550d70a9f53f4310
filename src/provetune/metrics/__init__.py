"""Metrics: one literal dict, and which of them a task is measured by."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.metrics.base import Metric, Row
from provetune.metrics.calibration import BRIER, ECE
from provetune.metrics.classification import ACCURACY, BALANCED_ACCURACY, F1_MACRO, F1_MICRO, F1_WEIGHTED, MCC
from provetune.metrics.fields import FIELD_F1
from provetune.metrics.grounding import ABSTENTION, GROUNDED
from provetune.metrics.instructions import INSTRUCTIONS, INSTRUCTIONS_ALL
from provetune.metrics.likelihood import BITS_PER_BYTE, PERPLEXITY
from provetune.metrics.ngrams import BLEU, CHRF
from provetune.metrics.overlap import EXACT_MATCH, ROUGE_1, ROUGE_2, ROUGE_L, TOKEN_F1
from provetune.metrics.semantic import SEMANTIC_SIMILARITY
from provetune.metrics.structure import JSON_VALID, SCHEMA_VALID
from provetune.metrics.style import CONCISENESS, STYLE
from provetune.metrics.tools import TOOL_CALLS
from provetune.metrics.user import stored

METRICS: dict[str, Metric] = {
    "accuracy": ACCURACY,
    "balanced_accuracy": BALANCED_ACCURACY,
    "f1_macro": F1_MACRO,
    "f1_micro": F1_MICRO,
    "f1_weighted": F1_WEIGHTED,
    "mcc": MCC,
    "ece": ECE,
    "brier": BRIER,
    "exact_match": EXACT_MATCH,
    "token_f1": TOKEN_F1,
    "rouge_1": ROUGE_1,
    "rouge_2": ROUGE_2,
    "rouge_l": ROUGE_L,
    "bleu": BLEU,
    "chrf": CHRF,
    "semantic_similarity": SEMANTIC_SIMILARITY,
    "perplexity": PERPLEXITY,
    "bits_per_byte": BITS_PER_BYTE,
    "json_valid": JSON_VALID,
    "schema_valid": SCHEMA_VALID,
    "field_f1": FIELD_F1,
    "tool_calls": TOOL_CALLS,
    "grounded": GROUNDED,
    "abstention": ABSTENTION,
    "instructions": INSTRUCTIONS,
    "instructions_all": INSTRUCTIONS_ALL,
    "style": STYLE,
    "conciseness": CONCISENESS,
}

_TEXT = ("rouge_l", "exact_match", "token_f1", "chrf", "tool_calls", "instructions", "abstention")
FOR_TASK: dict[str, tuple[str, ...]] = {
    "classify": ("accuracy", "f1_macro", "balanced_accuracy", "mcc", "ece", "brier"),
    "extract": ("exact_match", "rouge_l", "json_valid", "schema_valid", "field_f1", "abstention"),
    "generate": _TEXT,
    "chat": _TEXT,
}
"""Metrics that are measured for a task where they apply to its rows; the first is the default that decides."""


def metric_named(name: str) -> Metric:
    """The metric of this name; one of a user's own (`module:function`) as its stored observations need it."""
    return stored(name) if ":" in name else METRICS[name]


def measured_by(task: str, rows: Sequence[Row], further: Sequence[Metric] = ()) -> tuple[Metric, ...]:
    """The task's metrics that apply to at least one of the rows, and the further ones, each once."""
    own = [METRICS[name] for name in FOR_TASK[task]]
    found = {metric.name: metric for metric in own if not rows or any(map(metric.applies, rows))}
    return tuple((found | {metric.name: metric for metric in further}).values())
