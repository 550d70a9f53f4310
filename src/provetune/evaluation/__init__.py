"""Evaluation: paired comparisons of measured candidates, from their observations alone."""

from __future__ import annotations

from provetune.evaluation.claims import SeparateClaim, discordance, separate_claims
from provetune.evaluation.compare import compare, confidence_at
from provetune.evaluation.recipe import compare_over_folds, over_folds, over_seeds, summary_over_folds

__all__ = [
    "SeparateClaim",
    "compare",
    "compare_over_folds",
    "confidence_at",
    "discordance",
    "over_folds",
    "over_seeds",
    "separate_claims",
    "summary_over_folds",
]
