"""The five claims about the data, with what the learning curve adds."""

from __future__ import annotations

from provetune.records.curve import LearningCurve
from provetune.records.data import AuditReport, Claim, Outcome

CLAIM_WORDS = {
    "relevant": "Relevant: do the rows look like real requests?",
    "diverse": "Diverse: do they say different things?",
    "accurate": "Accurate: are the targets right?",
    "unbiased": "Unbiased: do labels hang on groups of people?",
    "enough": "Enough: would more examples help?",
}
WORST_WORDS: dict[Outcome | None, str] = {
    "pass": "All five claims hold.",
    "inconclusive": "Not every claim could be settled; none is refuted.",
    "fail": "At least one claim is refuted.",
    None: "The claims were not judged.",
}


def claims_with(audit: AuditReport, curve: LearningCurve | None) -> tuple[Claim, ...]:
    """The audit's claims; a learning curve of the same rows fills in "enough", whatever it was measured on before."""
    if curve is None or curve.dataset != audit.dataset:
        return audit.claims
    return tuple(_enough(claim, curve) if claim.name == "enough" else claim for claim in audit.claims)


def worst(claims: tuple[Claim, ...]) -> Outcome | None:
    """The worst outcome: no claim makes up for another. None without claims."""
    order: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
    return min((claim.outcome for claim in claims), key=order.index, default=None)


def _enough(claim: Claim, curve: LearningCurve) -> Claim:
    nearest = min(curve.forecasts, key=lambda forecast: forecast.rows, default=None)
    proxy = " Measured with a linear classifier as a stand-in." if curve.proxy else ""
    return claim.model_copy(
        update={
            "outcome": curve.outcome,
            "reason": curve.sentence + proxy,
            "what": f"gain in {curve.metric} from {nearest.rows:,} rows instead of {curve.rows:,}" if nearest is not None else claim.what,
            "value": None if nearest is None else nearest.gain,
        }
    )
