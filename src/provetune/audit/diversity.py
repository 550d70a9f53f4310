"""How many different things the rows say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provetune.audit.inputs import AuditInput, once
from provetune.audit.meaning import meaning, neighbours
from provetune.profile import median, vendi
from provetune.records.data import Finding
from provetune.stats.estimate import Estimate

FEW = 5.0
"""Vendi score below which rows are called monotonous; the 153 rows of a single intent of Banking77 reach 8."""
FEWEST = 50


@dataclass(frozen=True)
class Diversity:
    """Effective number of different prompts, and the median cosine of a row to its nearest other row."""

    vendi: Estimate
    neighbour: Estimate
    nearest: tuple[int, ...]


def diversity(inputs: AuditInput) -> list[Finding]:
    """A warning where the prompts amount to fewer than five different ones in effect (Vendi score)."""
    found = once(inputs, measure_diversity)
    if found is None or found.vendi.high is None or found.vendi.high >= FEW or inputs.embedder is None:
        return []
    return [
        Finding(
            check="diversity",
            severity="warning",
            message=f"The {len(inputs.examples):,} prompts are about as varied as {found.vendi.value:.1f} entirely different ones (Vendi "
            f"score [{found.vendi.low:.1f}, {found.vendi.high:.1f}]; half of the rows have a neighbour at cosine "
            f"{found.neighbour.value:.2f} or more; vectors: {inputs.embedder.name}).",
            count=len(inputs.examples),
            example_ids=tuple(inputs.examples[place].id for place in found.nearest[:50]),
            observed=found.vendi,
            threshold=FEW,
            remedy="Collect requests from more people and occasions: rows cut from one pattern teach the pattern.",
        )
    ]


def measure_diversity(inputs: AuditInput) -> Diversity | None:
    """Both figures; None without vectors or below 50 rows."""
    found, nearest = meaning(inputs), neighbours(inputs)
    if found is None or nearest is None or len(found.rows) < FEWEST:
        return None
    cosines = nearest[:, 0]
    return Diversity(vendi(found.rows), median(cosines), tuple(np.argsort(-cosines, kind="stable")[:50].tolist()))
