"""Metrics: one literal dict, and which of them a task is measured by."""

from __future__ import annotations

from provetune.metrics.base import Metric
from provetune.metrics.classification import ACCURACY, F1_MACRO
from provetune.metrics.overlap import EXACT_MATCH, ROUGE_L

METRICS: dict[str, Metric] = {
    "accuracy": ACCURACY,
    "f1_macro": F1_MACRO,
    "exact_match": EXACT_MATCH,
    "rouge_l": ROUGE_L,
}

FOR_TASK: dict[str, tuple[str, ...]] = {
    "classify": ("accuracy", "f1_macro"),
    "extract": ("exact_match", "rouge_l"),
    "generate": ("rouge_l", "exact_match"),
    "chat": ("rouge_l", "exact_match"),
}
"""Metrics that are measured for a task; the first is the default that decides."""
