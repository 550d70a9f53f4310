"""What the detectors share: numbers against numbers, shares against shares, and a signal where nothing could be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import FEWEST, Settings
from provetune.monitoring.terms import LARGE_AUC, LARGE_SHARE
from provetune.records.monitoring import DriftSignal, Family
from provetune.stats.combine import weighted_sum
from provetune.stats.proportion import wilson
from provetune.stats.two_sample import auc, category_features, mmd, rank_features

_MOST_CATEGORIES = 200
_SHOWN = 200


def unmeasured(detector: str, family: Family, why: str) -> DriftSignal:
    """A signal that says why there is none."""
    return DriftSignal(detector=detector, family=family, found="not comparable", sentence=why)


def shown(text: str) -> str:
    """A row's text as an example, on one line and cut."""
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}..."


def numbers_signal(
    detector: str,
    what: str,
    sides: tuple[Sequence[float | None], Sequence[float | None]],
    samples: tuple[Sample, Sample],
    settings: Settings,
) -> DriftSignal:
    """Whether a number of each row (None: unknown) lies elsewhere in the window; `what` names it with its unit."""
    first, second = ([value for value in side if value is not None] for side in sides)
    if min(len(first), len(second)) < FEWEST:
        return unmeasured(
            detector, "side", f"{what}: known for {len(first)} reference and {len(second)} window rows, wanted {FEWEST} each."
        )
    _, p = mmd(rank_features([*first, *second]), len(first), settings.permutations, settings.seed)
    effect = auc(np.array(first), np.array(second))
    before, now = float(np.median(first)), float(np.median(second))
    known = [(value, row) for value, row in zip(sides[1], samples[1].rows, strict=True) if value is not None]
    known.sort(key=lambda one: one[0], reverse=(effect.value or 0.5) >= 0.5)
    return DriftSignal(
        detector=detector,
        family="side",
        found="none",
        sentence=f"{what}: median {now:.3g}, was {before:.3g}.",
        p_value=p,
        effect=effect,
        effect_name="chance that a row of the window has the larger number",
        large=abs((effect.value or 0.5) - 0.5) >= LARGE_AUC - 0.5,
        examples=tuple(shown(row.text) for _, row in known[:3]),
        reference_rows=len(first),
        window_rows=len(second),
    )


def shares_signal(
    detector: str, what: str, sides: tuple[Sequence[str | None], Sequence[str | None]], samples: tuple[Sample, Sample], settings: Settings
) -> DriftSignal:
    """Whether the shares of the values of a category (None: unknown) have changed; the effect is the largest change of one share."""
    first, second = ([value for value in side if value is not None] for side in sides)
    if min(len(first), len(second)) < FEWEST:
        return unmeasured(
            detector, "side", f"{what}: known for {len(first)} reference and {len(second)} window rows, wanted {FEWEST} each."
        )
    before, now = Counter(first), Counter(second)
    usual = {name for name, _ in (before + now).most_common(_MOST_CATEGORIES)}
    values = [value if value in usual else "(others)" for value in (*first, *second)]
    p = 1.0 if len(set(values)) == 1 else mmd(category_features(values), len(first), settings.permutations, settings.seed)[1]

    def change(name: str) -> float:
        return now[name] / len(second) - before[name] / len(first)

    name = max(sorted(usual), key=lambda one: abs(change(one)))
    effect = weighted_sum([(1, wilson(now[name], len(second))), (-1, wilson(before[name], len(first)))])
    unseen = sorted((one for one in now if one not in before), key=lambda one: -now[one])
    new = f" New: {', '.join(shown(one) for one in unseen[:5])}." if unseen else ""
    return DriftSignal(
        detector=detector,
        family="side",
        found="none",
        sentence=f"{what}: {shown(name)!r} {now[name] / len(second):.1%}, was {before[name] / len(first):.1%}.{new}",
        p_value=p,
        effect=effect,
        effect_name=f"change of the share of {shown(name)!r}",
        large=abs(effect.value or 0.0) >= LARGE_SHARE,
        examples=_examples(sides[1], samples[1], name if change(name) > 0 else None),
        reference_rows=len(first),
        window_rows=len(second),
    )


def _examples(values: Sequence[str | None], sample: Sample, name: str | None) -> tuple[str, ...]:
    return tuple(shown(row.text) for value, row in zip(values, sample.rows, strict=True) if value == name and name is not None)[:3]
