"""Evaluation: paired comparisons of measured candidates, from their observations alone."""

from __future__ import annotations

from provetune.evaluation.claims import SeparateClaim, discordance, separate_claims
from provetune.evaluation.compare import compare, confidence_at
from provetune.evaluation.recipe import over_folds, over_seeds

__all__ = ["SeparateClaim", "compare", "confidence_at", "discordance", "over_folds", "over_seeds", "separate_claims"]
