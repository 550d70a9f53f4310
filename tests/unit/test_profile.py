"""Variety and nearness: published values, brute force, and what must not change them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from provetune.models.embedding import embedder
from provetune.profile import Vectors, drawn, median, nearest, nearest_others, vendi
from provetune.stats.estimate import Estimate


def unit(rows: int, dimensions: int, seed: int = 0) -> Vectors:
    raw = np.random.default_rng(seed).normal(size=(rows, dimensions))
    found: Vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return found


def value(found: Estimate) -> float:
    assert found.value is not None
    return found.value


@pytest.fixture(scope="module")
def texts(public_data: Path) -> dict[str, list[str]]:
    with (public_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        banking = list(csv.DictReader(file))
    clinc = json.loads((public_data / "clinc150" / "data_small.json").read_text(encoding="utf-8"))["train"]
    return {
        "banking": [row["text"] for row in banking],
        "card_arrival": [row["text"] for row in banking if row["category"] == "card_arrival"],
        "clinc": [text for text, _ in clinc],
    }


def test_vendi_scores_of_public_sets(texts: dict[str, list[str]], public_data: Path) -> None:
    # measured elsewhere with the same static model: 27.7, 8.3; draws of 1,000 rows vary by 3 around 26.9 and 63.2
    model = embedder(public_data.parent / "models" / "static_embedding")
    vectors = {name: model.embed(rows) for name, rows in texts.items()}
    assert value(vendi(vectors["banking"])) == pytest.approx(27.7, abs=0.05)
    assert value(vendi(vectors["card_arrival"])) == pytest.approx(8.3, abs=0.05)
    for name, wanted in (("banking", 26.9), ("clinc", 63.2)):
        draws = [value(vendi(vectors[name][np.random.default_rng(seed).choice(len(vectors[name]), 1000, False)])) for seed in range(5)]
        assert np.mean(draws) == pytest.approx(wanted, abs=3)


def test_copies_change_the_neighbours_and_not_the_vendi_score(texts: dict[str, list[str]], public_data: Path) -> None:
    rows = embedder(public_data.parent / "models" / "static_embedding").embed(texts["banking"][::100])
    copied = np.tile(rows, (10, 1))
    assert value(vendi(copied)) == pytest.approx(value(vendi(rows)), rel=1e-4)
    assert value(median(nearest_others(copied, 1)[:, 0])) > 0.9999 > 0.9 > value(median(nearest_others(rows, 1)[:, 0]))


def test_vendi_score_is_the_entropy_of_the_kernel(  # the definition, on the n x n matrix of cosines
) -> None:
    rows = unit(40, 12)
    shares = np.linalg.eigvalsh((rows @ rows.T / len(rows)).astype(np.float64))
    shares = shares[shares > 1e-9]
    assert value(vendi(rows)) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-4)
    assert value(vendi(np.repeat(rows[:1], 30, axis=0))) == pytest.approx(1.0, abs=1e-4)
    assert value(vendi(np.vstack([rows, np.zeros((5, 12), dtype=np.float32)]))) == pytest.approx(value(vendi(rows)), rel=1e-5)
    assert vendi(np.zeros((3, 12), dtype=np.float32)).value is None


def test_the_interval_of_the_vendi_score_has_the_width_of_repeated_draws() -> None:
    whole = unit(20_000, 8, seed=3) * np.linspace(0.2, 2.0, 8, dtype=np.float32)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    found = [vendi(whole[rng.choice(len(whole), 500, replace=False)]) for _ in range(200)]
    spread = np.std([value(one) for one in found])
    widths = [(one.high - one.low) / (2 * 1.96) for one in found if one.high is not None and one.low is not None]
    assert np.mean(widths) == pytest.approx(spread, rel=0.2)


def test_nearest_agrees_with_brute_force() -> None:
    rows, references = unit(50, 6), unit(30, 6, seed=1)
    wanted = -np.sort(-(rows @ references.T), axis=1)[:, :4]
    assert np.allclose(nearest(rows, references, 4), wanted, atol=1e-6)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    assert np.allclose(nearest_others(rows, 3), -np.sort(-cosines, axis=1)[:, :3], atol=1e-6)


def test_few_rows_have_few_neighbours() -> None:
    assert nearest_others(unit(3, 4), 10).shape == (3, 2)
    assert nearest_others(unit(1, 4), 10).shape == (1, 0)
    assert nearest(unit(0, 4), unit(5, 4), 2).shape == (0, 2)
    assert np.array_equal(drawn(50_000), drawn(50_000))
    assert len(np.unique(drawn(50_000))) == 20_000


def test_the_interval_of_the_median_covers_it() -> None:
    rng = np.random.default_rng(1)
    found = [median(rng.exponential(size=101)) for _ in range(400)]
    inside = [one.low is not None and one.high is not None and one.low <= math.log(2) <= one.high for one in found]
    assert np.mean(inside) >= 0.94
    assert median(np.zeros(0)).value is None
