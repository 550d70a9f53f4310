"""Adjusted p-values: R multtest's data, statsmodels, invariants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from provetune.stats.multiple import benjamini_hochberg, holm, noninferiority_confidence

MULTTEST = [
    5.236568e-05, 2.814051e-04, 0.01498773, 0.02027327, 0.1770970, 0.6421939, 0.6808459, 0.7162694, 0.8385414, 0.9678338,
]  # fmt: skip
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def test_published_values() -> None:
    assert holm(MULTTEST) == pytest.approx([5.236568e-04, 2.532646e-03, 0.1199018, 0.1419129, *[1.0] * 6], rel=1e-6)
    expected = [5.236568e-04, 1.407025e-03, 0.0499591, 0.0506832, 0.354194, 0.8953367, 0.8953367, 0.8953367, 0.9317127, 0.9678338]
    assert benjamini_hochberg(MULTTEST) == pytest.approx(expected, rel=2e-6)
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert benjamini_hochberg([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05] * 5)


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_agrees_with_statsmodels_in_the_order_given(ours: Any, theirs: Any) -> None:
    shuffled = [MULTTEST[index] for index in (7, 2, 9, 0, 4, 1, 8, 3, 6, 5)]
    assert ours(shuffled) == pytest.approx(list(multipletests(shuffled, method=theirs)[1]), rel=1e-12)


@given(P_VALUES)
def test_adjusting_never_helps_and_keeps_the_order(p_values: Any) -> None:
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p_values)
        assert all(before <= after + 1e-15 and after <= 1 for before, after in zip(p_values, adjusted, strict=True))
        ranked = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
        assert ranked == sorted(ranked)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_edges(adjust: Any) -> None:
    assert adjust([]) == []
    assert adjust([0.03]) == [0.03]
    with pytest.raises(ValueError, match=r"found the p-value 1\.2"):
        adjust([0.1, 1.2])
    with pytest.raises(ValueError, match="found the p-value nan"):
        adjust([float("nan")])


@pytest.mark.parametrize(("confidence", "two_sided"), [(0.95, 0.9), (0.975, 0.95), (0.99, 0.98)])
def test_one_end_keeps_its_alpha(confidence: float, two_sided: float) -> None:
    assert noninferiority_confidence(confidence) == pytest.approx(two_sided)
