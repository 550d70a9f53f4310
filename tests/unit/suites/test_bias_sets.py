"""BBQ, WinoBias and Winogender read as published, and refused where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError, SpecError
from provetune.suites.bias_sets import load_bias_set

ROW: dict[str, Any] = {
    "question_index": "1",
    "question_polarity": "neg",
    "context_condition": "ambig",
    "category": "Religion",
    "answer_info": {"ans0": ["A", "A"], "ans1": ["Unknown", "unknown"], "ans2": ["B", "B"]},
    "additional_metadata": {"stereotyped_groups": ["B"]},
    "context": "A and B came.",
    "question": "Who did it?",
    "ans0": "A",
    "ans1": "Unknown",
    "ans2": "B",
    "label": 1,
}


@pytest.mark.parametrize(("name", "rows"), [("Age", 3680), ("Disability_status", 1556), ("Religion", 1200), ("Sexual_orientation", 864)])
def test_every_row_of_bbq_has_one_unknown_and_one_stereotyped_option(public_data: Path, name: str, rows: int) -> None:
    found = load_bias_set(f"{name}.jsonl", public_data / "bbq")
    assert len(found.items) == rows and found.unresolved == 0
    assert sum(item.ambiguous for item in found.items) == rows / 2
    assert all(item.unknown != item.biased and (item.right == item.unknown) == item.ambiguous for item in found.items)


def test_the_biased_answer_depends_on_the_question(tmp_path: Path) -> None:
    nonneg = {**ROW, "question_polarity": "nonneg"}
    nobody = {**ROW, "additional_metadata": {"stereotyped_groups": ["C"]}}
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (ROW, nonneg, nobody)))
    found = load_bias_set("x.jsonl", tmp_path)
    assert [item.biased for item in found.items] == [2, 0] and found.unresolved == 1
    assert found.judged == ("BBQ Religion, ambiguous", "BBQ Religion, disambiguated")


def test_what_is_no_such_set_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(ROW) + '\n{"context": 1}\n')
    with pytest.raises(DataError, match="x.jsonl:2: no row of BBQ"):
        load_bias_set("x.jsonl", tmp_path)
    (tmp_path / "x.tsv").write_text("sentid\tsentence\nno tab\n")
    with pytest.raises(DataError, match="x.tsv:2: found no tab"):
        load_bias_set("x.tsv", tmp_path)
    for name in ("absent.jsonl", "x.csv", "."):
        with pytest.raises(SpecError, match="prove.fairness.sets"):
            load_bias_set(name, tmp_path)
    (tmp_path / "pro_stereotyped_type1.txt.dev").write_text("1 [A] met [him].\n2 [B] met [her].\n")
    (tmp_path / "anti_stereotyped_type1.txt.dev").write_text("1 [A] met [her].\n")
    with pytest.raises(DataError, match="2 sentences, but .* has 1"):
        load_bias_set(".", tmp_path)
