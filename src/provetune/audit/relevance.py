"""Do the rows look like the requests that the model will be proven on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provetune.audit.inputs import AuditInput, once, rows_text, share, shortened
from provetune.audit.meaning import meaning
from provetune.profile import Values, drawn, nearest
from provetune.records.data import Finding
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson

FEWEST = 20
"""Prompts of the test file, below which nothing is measured."""
MOST = 2_000
NEIGHBOURS = 3
QUANTILE = 0.05
WARN_ABOVE = 0.1


@dataclass(frozen=True)
class Relevance:
    """Scores against a limit that 95 of 100 test prompts reach among each other.

    `scores` [rows] is the mean cosine of a row to its three nearest test prompts; `far` the rows below the limit, farthest first;
    `covered` the share of test prompts that have as near neighbours among the rows.
    """

    scores: Values
    limit: float
    far: tuple[int, ...]
    covered: Estimate


def relevance(inputs: AuditInput) -> list[Finding]:
    """Rows farther from the test prompts than 95 of 100 test prompts are: listed above 5 % of the rows, a warning above 10 %."""
    found = once(inputs, measure_relevance)
    if found is None or inputs.embedder is None:
        return []
    observed = share(len(found.far), len(found.scores))
    if observed.low is None or observed.low <= QUANTILE:
        return []
    first = inputs.examples[found.far[0]]
    return [
        Finding(
            check="relevance",
            severity="warning" if observed.low > WARN_ABOVE else "info",
            message=f"{rows_text(len(found.far))} of {len(found.scores):,} ({observed.value:.1%}; 5 % would be usual) look unlike the "
            f"prompts of the test file, most of all {shortened(first.prompt_text)!r}. This sees other topics, not another task on the "
            f"same topic (vectors: {inputs.embedder.name}).",
            count=len(found.far),
            example_ids=tuple(inputs.examples[place].id for place in found.far[:50]),
            observed=observed,
            threshold=WARN_ABOVE,
            remedy="Remove rows of other topics, or add their kind to the test file if real requests will contain them.",
        )
    ]


def measure_relevance(inputs: AuditInput) -> Relevance | None:
    """The scores; None without vectors or a test file of at least 20 prompts."""
    found = meaning(inputs)
    if found is None or found.test is None or len(found.test) < FEWEST or not len(found.rows):
        return None
    prompts = found.test[drawn(len(found.test), MOST)]
    among_themselves = nearest(prompts, prompts, NEIGHBOURS, own=np.arange(len(prompts))).mean(axis=1)
    limit = float(np.quantile(among_themselves, QUANTILE))
    scores = nearest(found.rows, prompts, NEIGHBOURS).mean(axis=1)
    far = np.flatnonzero(scores < limit)
    reached = nearest(prompts, found.rows[drawn(len(found.rows))], NEIGHBOURS).mean(axis=1) >= limit
    return Relevance(
        scores=scores,
        limit=limit,
        far=tuple(far[np.argsort(scores[far], kind="stable")].tolist()),
        covered=wilson(int(reached.sum()), len(reached)),
    )
