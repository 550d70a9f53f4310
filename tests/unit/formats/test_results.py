"""Results of lm-evaluation-harness and promptfoo in the shapes that they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.formats.results import read_lm_eval, read_promptfoo


def lines(folder: Path, rows: list[Any]) -> Path:
    file = folder / "samples_gsm8k.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def sample(doc_id: int, right: float, chosen: str = "strict-match", **more: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"question": "2 + 2?"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "2 + 2?", "arg_1": {"until": []}}},
        "resps": [["The answer is 4."]],
        "filtered_resps": ["4"],
        "filter": chosen,
        "metrics": ["exact_match"],
        "doc_hash": "a",
        "prompt_hash": "b",
        "target_hash": "c",
        "exact_match": right,
        **more,
    }


def test_generated_samples(tmp_path: Path) -> None:
    found = read_lm_eval(lines(tmp_path, [sample(0, 1.0), sample(1, 0.0, filtered_resps=["[invalid]"])]))
    assert found.rows == {
        "samples_gsm8k": [
            {"id": 0, "prediction": "4", "target": "4", "score": 1.0},
            {"id": 1, "prediction": "[invalid]", "target": "4", "score": 0.0},
        ]
    }
    assert found.notes == ["the score is exact_match"]


def test_several_filters_are_chosen_from(tmp_path: Path) -> None:
    file = lines(tmp_path, [sample(0, 1.0), sample(0, 0.0, "flexible-extract")])
    with pytest.raises(DataError, match="found filters .*strict-match.*--filter"):
        read_lm_eval(file)
    found = read_lm_eval(file, chosen_filter="flexible-extract")
    assert [row["score"] for row in found.rows["samples_gsm8k"]] == [0.0] and "1 rows of other filters are left out" in found.notes


def test_multiple_choice_gives_the_likeliest_choice(tmp_path: Path) -> None:
    # lm-eval 0.4: [log-likelihood, is greedy] for each choice; target is the number of the right one; older files list no metrics
    row = sample(3, 0.0, target=1, filtered_resps=[[-3.2, False], [-1.5, True], [-9.0, False]], acc=1.0, acc_norm=0.0)
    del row["metrics"], row["exact_match"], row["filter"]
    found = read_lm_eval(lines(tmp_path, [row]))
    assert found.rows["samples_gsm8k"] == [{"id": 3, "prediction": "1", "target": "1", "score": 1.0}]
    assert [one["score"] for one in read_lm_eval(lines(tmp_path, [row]), "acc_norm").rows["samples_gsm8k"]] == [0.0]


def test_samples_of_another_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gsm8k\.jsonl:1: found keys.*wanted a sample"):
        read_lm_eval(lines(tmp_path, [{"id": 1, "text": "x"}]))
    with pytest.raises(DataError, match=r"gsm8k\.jsonl:2: found null as 'bleu'.*--metric"):
        read_lm_eval(lines(tmp_path, [sample(0, 1.0, bleu=0.5), sample(1, 1.0)]), "bleu")


def result(test: int, output: Any, score: float, provider: str = "openai:gpt-4o", prompt: int = 0) -> dict[str, Any]:
    return {
        "promptIdx": prompt,
        "testIdx": test,
        "testCase": {"vars": {"q": "?"}, "assert": [{"type": "equals", "value": "Paris"}]},
        "provider": {"id": provider, "label": ""},
        "prompt": {"raw": "Capital?", "label": "p"},
        "vars": {"q": "?"},
        "response": {"output": output} if output is not None else {"error": "429"},
        "success": score == 1,
        "score": score,
        "namedScores": {},
    }


def foo(folder: Path, results: list[Any]) -> Path:
    file = folder / "results.json"
    file.write_text(
        json.dumps({"evalId": "eval-1", "results": {"version": 3, "results": results, "stats": {}}, "config": {}}), encoding="utf-8"
    )
    return file


def test_promptfoo_gives_one_candidate_per_provider_and_prompt(tmp_path: Path) -> None:
    rows = [
        result(0, "Paris", 1),
        result(1, {"city": "Rome"}, 0),
        result(0, "Paris", 1, "local"),
        result(0, "paris", 0),
        result(1, None, 0, "local"),
    ]
    found = read_promptfoo(foo(tmp_path, rows))
    assert list(found.rows) == ["openai:gpt-4o-prompt0", "local-prompt0"]
    first, other = found.rows.values()
    assert first[0] == {"id": "0.0", "prediction": "Paris", "score": 1, "group": "0", "target": "Paris"}
    assert [(row["id"], row["prediction"]) for row in first] == [("0.0", "Paris"), ("1.0", '{"city": "Rome"}'), ("0.1", "paris")]
    assert (other[1]["prediction"], other[1]["score"]) == (None, None) and found.notes == [
        "1 results have no output: they are not measured"
    ]


def test_promptfoo_of_another_shape(tmp_path: Path) -> None:
    for content in ([{"no": "index"}], "text"):
        with pytest.raises(DataError, match="wanted a file of `promptfoo eval"):
            read_promptfoo(foo(tmp_path, content))  # type: ignore[arg-type]
