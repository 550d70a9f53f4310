"""The paired verdict on two files: the same numbers as the statistics give, everything odd refused or counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.cli import main
from provetune.errors import DataError, FolderError, SpecError
from provetune.workflow.compare import CompareWish, compare_files, import_predictions
from tests.unit.stats.known import known


def rows(right: range, count: int = 50, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"r{k}", "prediction": "yes" if k in right else "no", "target": "yes", **more} for k in range(count)]


def files(folder: Path, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> tuple[Path, Path]:
    for name, content in (("a.jsonl", a), ("b.jsonl", b)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return folder / "a.jsonl", folder / "b.jsonl"


def test_the_published_interval(tmp_path: Path) -> None:
    # 12 won, 2 lost of 50: Bonett-Price [.0508917, .3337237]; the order of the rows does not matter
    pair = files(tmp_path, rows(range(2, 50)), rows([*range(2), *range(14, 50)])[::-1])  # type: ignore[arg-type]
    for metric in ("exact_match", "accuracy"):
        found = compare_files(CompareWish(*pair, metric))
        assert known(found.comparison.difference) == pytest.approx((0.2, 0.0508917, 0.3337237), abs=1e-6)
        assert (found.comparison.wins, found.comparison.losses, found.compared) == (12, 2, 50)
        assert (found.verdict.outcome, found.candidate.value.value, found.notes) == ("pass", 0.96, ())
    assert found.comparison.p_value == pytest.approx(0.0074, abs=1e-3)


def test_given_scores_and_groups(tmp_path: Path) -> None:
    a, b = rows(range(0), 60, score=1), rows(range(0), 60, score=0)
    pair = files(tmp_path, [{**row, "group": k // 8} for k, row in enumerate(a)], [{**row, "group": k // 8} for k, row in enumerate(b)])
    found = compare_files(CompareWish(*pair))
    assert (found.metric, found.comparison.difference.value, found.comparison.difference.n) == ("score", 1.0, 8)
    assert found.verdict.outcome == "inconclusive" and "only 8 groups" in found.verdict.reason


def test_not_worse_is_judged_at_ninety_percent(tmp_path: Path) -> None:
    pair = files(tmp_path, rows(range(180), 200), rows(range(5, 185), 200))
    better, not_worse = compare_files(CompareWish(*pair, "exact_match")), compare_files(CompareWish(*pair, "exact_match", "not-worse"))
    assert (better.verdict.outcome, not_worse.verdict.outcome) == ("inconclusive", "pass")
    assert [found.comparison.difference.confidence for found in (better, not_worse)] == pytest.approx([0.95, 0.9])
    assert (better.verdict.rule.margin, not_worse.verdict.rule.margin) == (0.02, 0.05)


def test_what_never_came_is_counted_and_too_much_of_it_settles_nothing(tmp_path: Path) -> None:
    a = rows(range(100), 100)
    for lost, outcome in ((2, "pass"), (3, "inconclusive")):
        pair = files(tmp_path, [{**row, "prediction": None} if k < lost else row for k, row in enumerate(a)], rows(range(50), 100))
        found = compare_files(CompareWish(*pair, "exact_match"))
        assert (found.compared, found.candidate.not_measured, found.verdict.outcome) == (100 - lost, lost, outcome)
        assert f"{lost} rows have no prediction" in found.notes[0]


def test_ids_that_one_file_lacks_are_refused_or_counted(tmp_path: Path) -> None:
    pair = files(tmp_path, rows(range(50)), rows(range(30), 53)[2:])
    with pytest.raises(DataError, match=r"a\.jsonl:1: id 'r0' is missing in .*b\.jsonl, and so are 1 more"):
        compare_files(CompareWish(*pair, "exact_match"))
    found = compare_files(CompareWish(*pair, "exact_match", shared=True))
    assert (found.compared, found.candidate.only_here, found.baseline.only_here) == (48, 2, 3)
    assert [note.split(": ")[1] for note in found.notes] == [f"{n} rows are in this file only and were left out" for n in (2, 3)]
    with pytest.raises(DataError, match="no id of it is in"):
        compare_files(
            CompareWish(*files(tmp_path, rows(range(5)), [{**row, "id": "x" + row["id"]} for row in rows(range(5))]), shared=True)
        )


@pytest.mark.parametrize(
    ("change", "metric", "words"),
    [
        ({"target": "maybe"}, "exact_match", r"b\.jsonl:4.*|a\.jsonl:4: another target than"),
        ({"group": "x"}, "exact_match", r"a\.jsonl:4: group None, but 'x'"),
        ({"score": 7}, "score", r"b\.jsonl:4: the score is 7, wanted 0 to 1"),
        ({"score": 1, "target": None}, "no_such_metric", "found metric 'no_such_metric'"),
        ({}, "perplexity", "needs loglikelihood, which a file of predictions does not hold"),
        ({}, None, "no row has a score; name a metric"),
    ],
)
def test_rows_that_cannot_be_compared(tmp_path: Path, change: dict[str, Any], metric: str | None, words: str) -> None:
    b = [{**row, **(change if k == 3 else {})} for k, row in enumerate(rows(range(20)))]
    with pytest.raises((DataError, SpecError), match=words):
        compare_files(CompareWish(*files(tmp_path, rows(range(40)), b), metric))


def test_a_target_in_one_file_is_enough_and_long_predictions_are_counted(tmp_path: Path) -> None:
    b = [{"id": row["id"], "prediction": "y " * 60_000, "score": 0} for row in rows(range(0))]
    found = compare_files(CompareWish(*files(tmp_path, rows(range(50)), b), "exact_match"))
    assert (found.comparison.difference.value, found.baseline.long) == (1.0, 50)
    assert any("50 predictions have more than 100,000 characters" in note for note in found.notes)


def test_a_list_of_targets(tmp_path: Path) -> None:
    a, b = rows(range(50)), rows(range(0))
    pair = files(tmp_path, [{**row, "target": ["yes", "no"]} for row in a], [{**row, "target": ["yes", "no"]} for row in b])
    assert compare_files(CompareWish(*pair, "rouge_l")).comparison.difference.value == 0.0


def test_the_command_gives_one_record_and_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = map(str, files(tmp_path, rows(range(50)), rows(range(25))))
    for pair, code in (([a, b], 0), ([b, a], 3), ([a, a], 4)):
        assert main(["compare", *pair, "--metric", "exact_match", "--format", "json"]) == code
        document = json.loads(capsys.readouterr().out)
        assert document["schema"] == "provetune.paired-verdict/1" and document["comparison"]["baseline"] == pair[1]
    assert main(["compare", a, b, "--metric", "exact_match"]) == 0
    assert "SHOWN" in capsys.readouterr().out
    assert main(["compare", a, str(tmp_path / "none.jsonl"), "--metric", "exact_match"]) == 2


def test_results_become_prediction_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "samples.jsonl", tmp_path / "ours.jsonl"
    samples = [{"doc_id": k, "target": "4", "filtered_resps": ["4"], "exact_match": float(k > 3), "filter": "none"} for k in range(40)]
    source.write_text("".join(json.dumps(row) + "\n" for row in samples), encoding="utf-8")
    assert main(["import", "lm-eval", str(source), "--out", str(out), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == {str(out): 40}
    assert compare_files(CompareWish(out, out)).candidate.value.value == 0.9
    with pytest.raises(FolderError, match="is there already"):
        import_predictions("lm-eval", source, out, {}, force=False)


def test_each_candidate_of_promptfoo_gets_a_file(tmp_path: Path) -> None:
    source = tmp_path / "results.json"
    results = [{"testIdx": k % 3, "provider": p, "score": 1, "response": {"output": "x"}} for p in ("a/b", "a:b") for k in range(3)]
    source.write_text(json.dumps({"results": {"results": results}}), encoding="utf-8")
    assert main(["import", "promptfoo", str(source), "--out", str(tmp_path / "p.jsonl")]) == 0
    assert sorted(file.name for file in tmp_path.glob("p-*.jsonl")) == ["p-a-b-prompt0-0.jsonl", "p-a-b-prompt0-1.jsonl"]
