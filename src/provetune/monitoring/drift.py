"""All detectors together: one verdict at one level, with the floor from which on it matters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from provetune.languages import language_of
from provetune.monitoring.detectors import DETECTORS
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import FEWEST, Settings
from provetune.records.monitoring import DriftSignal, Family, Found
from provetune.stats.multiple import holm

REFERENCE = 50
"""Distinct reference texts below which nothing is compared."""
SPENT: dict[Family, float] = {"main": 0.8, "side": 0.1, "slice": 0.1}
"""How a look's alpha is shared: most on the texts, the rest on what surrounds them and on slices."""
_SLICES = 20
_SAME_LANGUAGE = 0.2
_TOLD = 0.5


def find_drift(reference: Sample, window: Sample, alpha: float, settings: Settings) -> tuple[Found, str, tuple[DriftSignal, ...]]:
    """The verdict, in words, and every signal. P(any alarm without drift) <= `alpha`, whatever the number of detectors and slices.

    Within each family Holm corrects for several tests; over families alpha is shared by `SPENT`. Where the two sides cannot be
    compared (too few rows, another language altogether), the verdict is "not comparable" and no test counts.
    """
    why = _not_comparable(reference, window)
    if why:
        return "not comparable", f"Not comparable: {why}", ()
    found = [detector(reference, window, settings) for detector in DETECTORS.values()]
    found += _by_slice(reference, window, settings)
    judged = tuple(signal for family in SPENT for signal in _judged([one for one in found if one.family == family], SPENT[family] * alpha))
    order = {name: place for place, name in enumerate(DETECTORS)}
    signals = tuple(sorted(judged, key=lambda one: (one.found != "drift", one.found != "slight", order.get(one.detector, 99), one.slice)))
    verdict: Found = "none"
    for level in ("drift", "slight"):
        if any(one.found == level for one in signals):
            verdict = level
            break
    return verdict, _sentence(verdict, signals), signals


def permutations_for(alpha: float) -> int:
    """Draws that a permutation test needs to be able to fall below its share of `alpha`, twice over.

    >>> permutations_for(0.05), permutations_for(0.05 / 26)
    (1999, 3899)
    """
    return max(1999, math.ceil(2 * 3 / (SPENT["main"] * alpha)) - 1)


def _not_comparable(reference: Sample, window: Sample) -> str:
    if len(reference.rows) < REFERENCE:
        return f"the reference holds {len(reference.rows)} distinct texts, wanted {REFERENCE}; take a larger one of held-out rows."
    if len(window.rows) < FEWEST:
        return f"the window holds {len(window.rows)} distinct texts, wanted {FEWEST} or more; wait for more traffic."
    before, now = (Counter(filter(None, map(language_of, side.texts))) for side in (reference, window))
    if not before:
        return ""
    main, rows = before.most_common(1)[0]
    told = sum(now.values())
    usual = rows >= 2 * _SAME_LANGUAGE * len(reference.rows)
    if usual and told >= _TOLD * len(window.rows) and now[main] / told < _SAME_LANGUAGE:
        other, count = now.most_common(1)[0]
        shift = f"{count / told:.0%} of the window is in {other}, the reference in {main}"
        return f"{shift}; take a new reference, or route these requests elsewhere."
    return ""


def _by_slice(reference: Sample, window: Sample, settings: Settings) -> list[DriftSignal]:
    """The words of each slice that has enough rows on both sides; the largest slices of the reference where there are many."""
    sizes = Counter(row.group for row in reference.rows if row.group is not None)
    found = []
    for name, _ in sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:_SLICES] if len(sizes) > 1 else ():
        sides = reference.of_group(name), window.of_group(name)
        if min(len(side.rows) for side in sides) >= FEWEST:
            signal = DETECTORS["mmd_terms"](*sides, settings)
            found.append(signal.model_copy(update={"family": "slice", "slice": name, "sentence": f"{name}: {signal.sentence}"}))
    return found


def _judged(signals: Sequence[DriftSignal], level: float) -> list[DriftSignal]:
    measured = [one for one in signals if one.p_value is not None]
    adjusted = dict(zip(map(id, measured), holm([one.p_value or 0.0 for one in measured]), strict=True))
    judged = []
    for one in signals:
        if id(one) in adjusted:
            below = adjusted[id(one)] <= level
            found: Found = "drift" if below and one.large else "slight" if below else "none"
            judged.append(one.model_copy(update={"adjusted": adjusted[id(one)], "level": level, "found": found}))
        else:
            judged.append(one)
    return judged


def _sentence(verdict: Found, signals: Sequence[DriftSignal]) -> str:
    if verdict == "none":
        return "No drift: the window looks like the reference."
    named = [one for one in signals if one.found == verdict]
    # the words that are new say most, wherever they were found
    terms = next((one for one in signals if one.terms), None)
    first = [terms] if terms is not None and terms not in named else []
    start = "Drift" if verdict == "drift" else "A difference too small to act on"
    return f"{start}. " + " ".join(one.sentence for one in (*first, *named)[:4])
