"""Evaluation: paired comparisons of measured candidates, from their observations alone."""

from __future__ import annotations

from provetune.evaluation.compare import compare, confidence_at

__all__ = ["compare", "confidence_at"]
