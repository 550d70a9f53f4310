"""The price table: what it holds, how it is read, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.errors import DataError
from provetune.pricing import COLUMNS, LOCAL, PRICES, TokenPrice, as_of, cheapest, load_prices, usd_per_thousand

ROW = "aws,p3.2xlarge,V100,16,1,3.06,us-east-1,on-demand,2026-01-02,https://example.com"


def _read(folder: Path, *rows: str) -> tuple[float, ...]:
    path = folder / "contract.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return tuple(price.usd_per_hour for price in load_prices(path))


def test_table_is_small_and_every_row_has_a_source() -> None:
    assert 20 <= len(PRICES) <= 40
    assert all(price.source_url.startswith("https://") for price in PRICES)
    assert not any("accelerator only" in price.sku for price in PRICES)


@pytest.mark.parametrize(
    ("sku", "tier", "usd_per_hour"),
    [("p3.2xlarge", "on-demand", 3.06), ("a2-highgpu-1g", "on-demand", 3.673385), ("a2-highgpu-1g", "spot", 1.293355)],
)
def test_published_prices(sku: str, tier: str, usd_per_hour: float) -> None:
    assert [price.usd_per_hour for price in PRICES if (price.sku, price.tier) == (sku, tier)] == [usd_per_hour]


def test_two_days_of_a_v100_cost_147_dollars() -> None:
    (v100,) = [price for price in PRICES if price.sku == "p3.2xlarge"]
    assert 48 * v100.usd_per_hour == pytest.approx(146.88)


def test_range_of_an_80_gb_a100_per_gpu() -> None:
    per_gpu = [p.usd_per_hour / p.count for p in PRICES if p.gpu.startswith("A100") and p.mem_gb == 80]
    assert min(per_gpu) == 1.19
    assert max(per_gpu) == pytest.approx(4.777)


@pytest.mark.parametrize("mem_gib", [0.0, 14, 30, 60, 80, 160])
def test_cheapest_holds_the_memory_on_one_gpu_and_is_sorted(mem_gib: float) -> None:
    found = cheapest(mem_gib)
    assert found and all(price.mem_gb * 1e9 / 2**30 >= mem_gib and price.tier != "spot" for price in found)
    assert [p.usd_per_hour for p in found] == sorted(p.usd_per_hour for p in found)
    left_out = [p for p in PRICES if p not in found and p.tier != "spot"]
    assert all(p.mem_gib < mem_gib for p in left_out)


def test_nothing_is_large_enough_for_everything() -> None:
    assert cheapest(1000) == []
    assert cheapest(16, []) == []


def test_dates_are_shown_with_the_undated_rows_counted() -> None:
    assert as_of(PRICES) == "2025-03-06 to 2026-11-16 (11 of 29 prices without a date)"
    assert as_of([p for p in PRICES if p.provider == "huggingface-jobs"]) == "date unknown"
    assert as_of([]) == "no prices"


def test_own_hardware_costs_nothing_and_says_so() -> None:
    assert (LOCAL.usd_per_hour, as_of([LOCAL])) == (0.0, "own hardware: no rental cost")


def test_contract_prices_are_read(tmp_path: Path) -> None:
    assert _read(tmp_path, ROW, ROW.replace("3.06", "2.5")) == (3.06, 2.5)


@pytest.mark.parametrize(
    ("old", "new"),
    [("3.06", "cheap"), ("3.06", "306"), ("3.06", "0.003"), ("3.06", "nan"), (",1,", ",0,"), (",16,", ",,"), (",16,", ",-16,")],
)
def test_implausible_rows_are_refused_with_their_line(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(DataError, match=r"contract\.csv:3: "):
        _read(tmp_path, ROW, ROW.replace(old, new))


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("provider,sku\n")
    with pytest.raises(DataError, match=r"a\.csv:1: columns as_of, count, gpu"):
        load_prices(tmp_path / "a.csv")
    with pytest.raises(DataError, match="cannot be read"):
        load_prices(tmp_path / "b.csv")


def test_dollars_of_tokens_by_hand() -> None:
    # 2.50 $ and 10 $ per million: 1,000 requests of 400 and 10 tokens cost 1.00 $ + 0.10 $
    assert 1000 * TokenPrice(2.5, 10.0)(400, 10) == pytest.approx(1.10)


def test_dollars_of_a_thousand_requests_have_an_interval() -> None:
    found = usd_per_thousand([0.001, 0.003] * 50)
    assert found.value == pytest.approx(2.0) and found.low is not None and found.high is not None
    # the mean of 100 with a standard deviation of 1: about 1.96 / 10 to each side
    assert found.high - found.low == pytest.approx(2 * 0.196, rel=0.15)
    assert usd_per_thousand([]).value is None
    assert usd_per_thousand([0.0] * 10).value == 0.0
