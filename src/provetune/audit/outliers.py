"""Rows unlike all others."""

from __future__ import annotations

import numpy as np

from provetune.audit.inputs import AuditInput, rows_text, share, shortened
from provetune.audit.meaning import neighbours
from provetune.records.data import Finding

FENCE = 1.5
"""Rows count as outliers from this many quartile ranges above the upper quartile (Tukey 1977)."""
FEWEST = 50
WARN_ABOVE = 0.05


def outliers(inputs: AuditInput) -> list[Finding]:
    """Rows unusually far from their ten nearest rows, farthest first: a list to look at."""
    nearest = neighbours(inputs)
    if nearest is None or inputs.embedder is None or len(nearest) < FEWEST:
        return []
    distances = 1 - nearest.mean(axis=1)
    low, high = np.percentile(distances, [25, 75])
    places = np.flatnonzero(distances > high + FENCE * (high - low) + 1e-6)
    if not len(places):
        return []
    farthest = [inputs.examples[place] for place in places[np.argsort(-distances[places], kind="stable")]]
    observed = share(len(places), len(distances))
    return [
        Finding(
            check="outliers",
            severity="warning" if observed.low is not None and observed.low > WARN_ABOVE else "info",
            message=f"{rows_text(len(places))} of {len(distances):,} ({observed.value:.1%}) are unlike all others, the farthest being "
            f"{shortened(farthest[0].prompt_text)!r} (vectors: {inputs.embedder.name}).",
            count=len(places),
            example_ids=tuple(example.id for example in farthest[:50]),
            observed=observed,
            threshold=WARN_ABOVE,
            remedy="Look through them: a row of another task or in broken wording should go, a rare but real request should stay.",
        )
    ]
