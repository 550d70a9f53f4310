"""Evaluation: paired comparisons of measured candidates, from their observations alone."""

from __future__ import annotations

from provetune.evaluation.compare import compare, confidence_at
from provetune.evaluation.recipe import compare_over_folds, over_folds, over_seeds, summary_over_folds

__all__ = [
    "compare",
    "compare_over_folds",
    "confidence_at",
    "over_folds",
    "over_seeds",
    "summary_over_folds",
]
