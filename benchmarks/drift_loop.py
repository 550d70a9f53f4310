"""Real time: RustSec's kinds of advisories year by year under four policies, and labels of Banking77 that change their meaning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from benchmarks.drift_data import advisories, labelled_banking
from provetune.monitoring.harm import after, claim_from, read_harm
from provetune.monitoring.text import masked
from provetune.records.monitoring import Bets
from provetune.stats.proportion import clopper_pearson

TOLERANCE = 0.02
_KINDS = ("malicious", "unmaintained", "unsound", "vulnerability")


def _model() -> Pipeline:
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=500, class_weight="balanced"))


class _Champion:
    """A classifier fitted to all rows before a place, and the claim that its out-of-fold error makes."""

    def __init__(self, rows: list[dict[str, str]], known: np.ndarray) -> None:
        texts = [masked(rows[place]["text"]) for place in known]
        kinds = [rows[place]["kind"] for place in known]
        wrong = int(np.sum(cross_val_predict(_model(), texts, kinds, cv=5) != np.array(kinds)))
        self.claim = claim_from(clopper_pearson(wrong, len(kinds), 0.90), TOLERANCE)
        self._model = _model().fit(texts, kinds)

    def right(self, row: dict[str, str]) -> bool:
        return bool(self._model.predict([masked(row["text"])])[0] == row["kind"])


def loop_lines() -> Iterator[dict[str, Any]]:
    """L1: mean accuracy and trainings of frozen, yearly, and our loop at several label rates."""
    rows = [row for row in advisories() if row["kind"] in _KINDS]
    first = sum(row["date"] < "2021" for row in rows)
    frozen = _played(rows, first, lambda state: False, 1.0, 0)
    yield {"goal": "L1", "what": "frozen", **frozen}
    yearly = _played(rows, first, lambda state: state["year"] != state["trained year"], 1.0, 0)
    yield {"goal": "L1", "what": "yearly retrain", **yearly}
    for days, share, seeds in ((10**6, 1.0, 1), (365, 1.0, 1), (365, 0.2, 5)):
        found = [_played(rows, first, lambda state, d=days: state["harm"] or state["age"] >= d, share, seed) for seed in range(seeds)]
        yield {
            "goal": "L1",
            "what": f"our loop, {share:.0%} of labels, clock {days if days < 10**6 else 'none'}",
            "seeds": seeds,
            "accuracy": round(float(np.mean([one["accuracy"] for one in found])), 4),
            "trainings": float(np.mean([one["trainings"] for one in found])),
            "of yearly": round(float(np.mean([one["accuracy"] for one in found])) / yearly["accuracy"], 4),
        }


def _played(rows: list[dict[str, str]], first: int, policy: Any, share: float, seed: int) -> dict[str, Any]:
    random = np.random.default_rng([seed, 9])
    champion, trained_at, trainings = _Champion(rows, np.arange(first)), rows[first]["date"], 0
    labelled = list(range(first))
    bets = Bets(claim=champion.claim)
    right = []
    for place in range(first, len(rows)):
        row = rows[place]
        age = (date.fromisoformat(row["date"]) - date.fromisoformat(trained_at)).days
        state = {"harm": read_harm(bets).alarm, "age": age, "year": row["date"][:4], "trained year": trained_at[:4]}
        if place > first and policy(state):
            champion, trained_at, trainings = _Champion(rows, np.array(labelled)), row["date"], trainings + 1
            bets = Bets(claim=champion.claim)
        hit = champion.right(row)
        right.append(hit)
        if random.random() < share:
            labelled.append(place)
            bets = after(bets, [float(not hit)])
    return {"accuracy": round(float(np.mean(right)), 4), "trainings": trainings}


def meaning_lines() -> Iterator[dict[str, Any]]:
    """Banking77: pairs of labels swap their meaning in the stream; labels until the harm alarm, by how far the error rises."""
    texts, labels = zip(*labelled_banking(), strict=True)
    random = np.random.default_rng(3)
    order = random.permutation(len(texts))
    train, held, stream = order[:5000], order[5000:7000], order[7000:]
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=20, max_iter=200))
    model.fit([texts[k] for k in train], [labels[k] for k in train])
    guesses = dict(zip(order[5000:].tolist(), model.predict([texts[k] for k in order[5000:]]), strict=True))
    wrong = sum(guesses[k] != labels[k] for k in held)
    claim = claim_from(clopper_pearson(wrong, len(held), 0.90), TOLERANCE)
    names = sorted(set(labels))
    for pairs in (0, 5, 8, 12):
        picked = random.permutation(names)[: 2 * pairs]
        meaning = {**dict(zip(picked[::2], picked[1::2], strict=True)), **dict(zip(picked[1::2], picked[::2], strict=True))}
        losses = np.array([guesses[k] != meaning.get(labels[k], labels[k]) for k in stream], dtype=float)
        delays = []
        for seed in range(40):
            mixed = np.random.default_rng([seed, 10]).permutation(losses)[:2000].tolist()
            bets, delay = Bets(claim=claim), 0
            for low in range(0, 2000, 10):
                bets = after(bets, mixed[low : low + 10])
                if read_harm(bets).alarm:
                    delay = low + 10
                    break
            delays.append(delay)
        yield {
            "goal": "meaning",
            "what": f"{pairs} pairs of labels swapped",
            "held-out error": round(wrong / len(held), 3),
            "claim": round(claim, 3),
            "error now": round(float(losses.mean()), 3),
            "trials": 40,
            "median labels": float(np.median([one or 10**6 for one in delays])),
            "within 150": float(np.mean([0 < one <= 150 for one in delays])),
        }
