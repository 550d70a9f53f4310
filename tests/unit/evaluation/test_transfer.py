from __future__ import annotations

import numpy as np
import pytest

from provetune.evaluation.transfer import backward_transfer, forgetting

THREE = np.array([[0.80, 0.10, 0.05], [0.60, 0.90, 0.15], [0.70, 0.85, 0.95]])


def test_three_releases_by_hand() -> None:
    assert backward_transfer(THREE) == pytest.approx(((0.70 - 0.80) + (0.85 - 0.90)) / 2)
    assert forgetting(THREE) == pytest.approx(((0.80 - 0.70) + (0.90 - 0.85)) / 2)


def test_an_early_score_of_a_later_task_is_no_peak() -> None:
    """Column 1 was high before release 1 knew the task: that is transfer forward, nothing that could be forgotten."""
    scores = THREE.copy()
    scores[0, 1] = 1.0
    assert forgetting(scores) == pytest.approx(forgetting(THREE))


def test_a_score_that_is_not_needed_may_be_absent() -> None:
    scores = np.where(np.triu(np.ones((3, 3)), 1) == 1, np.nan, THREE)
    assert backward_transfer(scores) == backward_transfer(THREE) and forgetting(scores) == forgetting(THREE)


@pytest.mark.parametrize("measure", [backward_transfer, forgetting])
def test_what_cannot_be_computed_is_refused(measure: object) -> None:
    assert callable(measure)
    for scores in (np.zeros((1, 1)), np.zeros((2, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match="wanted one row and one column"):
            measure(scores)
    holed = THREE.copy()
    holed[2, 0] = np.nan
    with pytest.raises(ValueError, match="was not measured"):
        measure(holed)
