"""The same in other words, by vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from provetune.models.embedding import embedder
from tests.unit.audit.rows import clean, example, found, inputs, only


@dataclass(frozen=True)
class Given:
    """Vectors made beforehand."""

    vectors: NDArray[np.float32]
    name: str = "given"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.vectors[: len(texts)]


def directions(count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).normal(size=(count, 32)).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_pairs_much_nearer_than_usual_are_listed_nearest_first() -> None:
    vectors = directions(80)
    vectors[40] = vectors[3] + 0.02 * vectors[5]
    vectors[50] = vectors[7]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    finding = only(found("semantic_duplicates", replace(inputs(clean()), embedder=Given(vectors))))
    assert (finding.severity, finding.count, finding.example_ids) == ("info", 4, ("r7", "r50", "r3", "r40"))
    assert "vectors: given" in finding.message


def test_the_cut_goes_with_the_data() -> None:
    near = directions(80) * 0.1 + directions(80)[:1]
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    assert (near @ near.T).min() > 0.9
    assert found("semantic_duplicates", replace(inputs(clean()), embedder=Given(near))) == []


def test_rows_of_one_wording_are_no_news() -> None:
    vectors = directions(82)
    vectors[80:] = vectors[:2]
    rows = [*clean(), *(example(200 + place, row.prompt_text + "!", row.target) for place, row in enumerate(clean()[:2]))]
    assert found("semantic_duplicates", replace(inputs(rows), embedder=Given(vectors))) == []


def test_no_vectors_or_few_rows_say_nothing() -> None:
    assert found("semantic_duplicates", inputs(clean())) == []
    assert found("semantic_duplicates", replace(inputs(clean()[:49]), embedder=Given(directions(80)))) == []
    nothing = np.zeros((80, 32), dtype=np.float32)
    assert found("semantic_duplicates", replace(inputs(clean()), embedder=Given(nothing))) == []
    assert found("semantic_duplicates", replace(inputs(clean()), embedder=embedder(None))) == []
