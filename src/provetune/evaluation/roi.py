"""Return on investment: measured quality and measured cost put together, with the interval of the quality carried through."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.records.evaluation import Comparison, Evaluation
from provetune.records.roi import Alternative, Costs, Reach, ReturnReport
from provetune.stats.combine import weighted_sum
from provetune.stats.estimate import Estimate

NOTHING = Estimate(None, None, None, 0, 0.95, "not measured")


def return_on_investment(
    costs: Costs, champion: Evaluation, others: Sequence[Evaluation], comparisons: Sequence[Comparison]
) -> ReturnReport:
    """The report, from measured evaluations and paired comparisons of the champion; the same input gives the same report.

    A request gains `usd_per_right` times the difference in quality, minus the difference in cost. Anything unknown leaves what depends
    on it unknown.
    """
    name = champion.candidate.name
    compared = [_alternative(costs, name, other, comparisons) for other in _worth_comparing(costs, others)]
    quality, own = _quality(costs, champion), costs.usd_per_1k.get(name)
    if costs.expert is not None:
        price = Estimate(costs.expert.usd_per_1k, None, None, 0, 0.95, "given")
        difference = None if quality is None else weighted_sum([(1, quality), (-1, costs.expert.quality)])
        person = Alternative(name="expert", kind="expert", quality=costs.expert.quality, usd_per_1k=price, difference=difference)
        compared.append(_weighed(costs, own, person))
    return ReturnReport(
        costs=costs, candidate=name, quality=quality, usd_per_1k=own, alternatives=tuple(compared), sentence=_sentence(costs, compared)
    )


def _worth_comparing(costs: Costs, others: Sequence[Evaluation]) -> list[Evaluation]:
    """The best prompt, then every hosted model."""
    prompts = [one for one in others if one.candidate.kind == "prompt"]
    best = max(prompts, key=lambda one: (_quality(costs, one) or NOTHING).value or 0.0, default=None)
    return [*([best] if best is not None else []), *(one for one in others if one.candidate.kind == "endpoint")]


def _quality(costs: Costs, measured: Evaluation) -> Estimate | None:
    return measured.summary.get(costs.metric or "")


def _alternative(costs: Costs, champion: str, other: Evaluation, comparisons: Sequence[Comparison]) -> Alternative:
    name = other.candidate.name
    paired = [c.difference for c in comparisons if (c.candidate, c.baseline, c.metric) == (champion, name, costs.metric)]
    found = Alternative(
        name=name,
        kind=other.candidate.kind,
        quality=_quality(costs, other),
        usd_per_1k=costs.usd_per_1k.get(name),
        difference=max(paired, key=lambda one: one.confidence, default=None),
    )
    return _weighed(costs, costs.usd_per_1k.get(champion), found)


def _weighed(costs: Costs, own: Estimate | None, other: Alternative) -> Alternative:
    """The alternative with the gain over it, and the volume and time at which that pays, as far as they are known."""
    if costs.usd_per_right is None or other.difference is None or own is None or other.usd_per_1k is None:
        return other
    gain = weighted_sum([(1000 * costs.usd_per_right, other.difference), (-1, own), (1, other.usd_per_1k)])
    once = None if costs.training_usd is None else costs.training_usd + costs.setup_usd
    if once is None or gain.value is None:
        return other.model_copy(update={"gain_usd_per_1k": gain})
    monthly = costs.upkeep_usd_per_month + once / costs.months
    volume = costs.requests_per_month
    return other.model_copy(
        update={
            "gain_usd_per_1k": gain,
            "break_even_per_month": _reach(1000 * monthly, gain, scale=1.0, less=0.0),
            "payback_months": None if volume is None else _reach(once, gain, scale=volume / 1000, less=costs.upkeep_usd_per_month),
        }
    )


def _reach(wanted: float, gain: Estimate, *, scale: float, less: float) -> Reach:
    """`wanted` over (gain times `scale` minus `less`) at the gain and both of its ends; None where that is never reached."""

    def at(usd: float | None) -> float | None:
        each = None if usd is None else usd * scale - less
        return None if each is None or each <= 0 else wanted / each

    exact = gain.low is None
    return Reach(value=at(gain.value), low=at(gain.value if exact else gain.high), high=at(gain.value if exact else gain.low))


def _sentence(costs: Costs, compared: Sequence[Alternative]) -> str:
    known = [one for one in compared if one.gain_usd_per_1k is not None and one.gain_usd_per_1k.value is not None]
    if not known:
        return f"What the tuned model brings in money is unknown: {'; '.join(costs.unknown) or 'there is nothing to compare it with'}."
    one = known[0]
    gain = one.gain_usd_per_1k
    assert gain is not None and gain.value is not None
    span = "" if gain.low is None or gain.high is None else f" [{gain.low:,.2f}, {gain.high:,.2f}]"
    said = f"Against {one.name} 1,000 requests bring {gain.value:,.2f} ${span} more"
    if one.payback_months is None:
        return f"{said}; the time to pay back is unknown."
    if one.payback_months.value is None:
        return f"{said}; at {costs.requests_per_month:,.0f} requests a month it never pays back."
    most = "never" if one.payback_months.high is None else f"{one.payback_months.high:,.1f}"
    return (
        f"{said}; at {costs.requests_per_month:,.0f} requests a month it pays back in {one.payback_months.value:,.1f} months "
        f"[{one.payback_months.low:,.1f}, {most}]."
    )
