"""Per-example results of other tools: `--log_samples` of lm-evaluation-harness, results of promptfoo; read as prediction rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, kind, objects, whole_object
from provetune.formats.text import listed

_HARNESS_KEYS = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash"),
    *("task", "task_name", "input"),
}


@dataclass
class Imported:
    """Prediction rows of each candidate, by its name, and what was left out or changed, one sentence each."""

    rows: dict[str, list[JsonObject]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_lm_eval(path: Path, metric: str | None = None, chosen_filter: str | None = None) -> Imported:
    """A file of `lm_eval --log_samples`: one row per document, its score under `metric` (the first if not given).

    A multiple-choice document has the number of the likeliest choice as its prediction. Raises DataError, with file and line, on
    rows of another shape, several filters where none is chosen, or a metric that a row lacks.
    """
    found, filters = Imported(), dict[str, list[tuple[int, JsonObject]]]()
    for line, row in objects(path):
        if "doc_id" not in row or not ("filtered_resps" in row or "resps" in row):
            raise DataError(f"{path}:{line}: found keys {listed(row)}, wanted a sample with 'doc_id' and 'filtered_resps'")
        filters.setdefault(str(row.get("filter", "none")), []).append((line, row))
    name = chosen_filter or (next(iter(filters)) if len(filters) == 1 else None)
    if name not in filters:
        raise DataError(f"{path}: found filters {listed(filters) or 'none'}; name one of them with --filter")
    wanted = metric or _first_metric(filters[name][0][1])
    for line, row in filters[name]:
        score = row.get(wanted) if wanted is not None else None
        if wanted is not None and (wanted not in row or not isinstance(score, bool | int | float | None)):
            raise DataError(f"{path}:{line}: found {kind(score)} as {wanted!r}, wanted a number; name another metric with --metric")
        target = row.get("target")
        scored = {} if wanted is None else {"score": None if score is None else float(score)}
        written = {} if target in (None, "", []) else {"target": _texts(target)}
        found.rows.setdefault(path.stem, []).append({"id": row["doc_id"], "prediction": _completion(row), **written, **scored})
    found.notes.append("no metric was found: the rows have no score" if wanted is None else f"the score is {wanted}")
    skipped = sum(map(len, filters.values())) - len(filters[name])
    if skipped:
        found.notes.append(f"{skipped:,} rows of other filters are left out")
    return found


def read_promptfoo(path: Path) -> Imported:
    """Results that `promptfoo eval --output results.json` wrote: one candidate per provider and prompt.

    Repetitions of a test are rows of one group. The target is the value of the one `equals` assertion, if there is one; the score is
    promptfoo's. Raises DataError on a file of another shape.
    """
    content: Any = whole_object(path).get("results")
    results = content.get("results") if isinstance(content, dict) else content
    if not isinstance(results, list) or not all(isinstance(one, dict) and "testIdx" in one for one in results):
        raise DataError(f"{path}: found no list 'results' of results with 'testIdx', wanted a file of `promptfoo eval --output FILE.json`")
    found, seen, failed = Imported(), dict[tuple[str, str], int](), 0
    for one in results:
        provider, test = one.get("provider"), str(one["testIdx"])
        called = provider.get("label") or provider.get("id") if isinstance(provider, dict) else provider
        candidate = f"{called or 'provider'}-prompt{one.get('promptIdx', 0)}"
        times = seen[candidate, test] = seen.get((candidate, test), -1) + 1
        response = one.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        failed += output is None
        text = output if isinstance(output, str) or output is None else json.dumps(output, ensure_ascii=False)
        score = one.get("score") if output is not None else None
        row = {"id": f"{test}.{times}", "prediction": text, "score": score, "group": test}
        target = _equals(one)
        found.rows.setdefault(candidate, []).append(row if target is None else {**row, "target": target})
    if failed:
        found.notes.append(f"{failed:,} results have no output: they are not measured")
    return found


def _first_metric(row: JsonObject) -> str | None:
    listed_metrics = row.get("metrics")
    names = listed_metrics if isinstance(listed_metrics, list) else [key for key in row if key not in _HARNESS_KEYS]
    return next((str(name) for name in names if isinstance(row.get(str(name)), bool | int | float)), None)


def _completion(row: JsonObject) -> str | None:
    """The completion, or the number of the likeliest choice."""
    answers = row.get("filtered_resps") or row.get("resps")
    if not isinstance(answers, list) or not answers:
        return None
    if all(isinstance(one, list) and one and isinstance(one[0], float | int) for one in answers):
        return str(max(range(len(answers)), key=lambda place: float(answers[place][0])))
    first = answers[0]
    while isinstance(first, list) and first:
        first = first[0]
    return first if isinstance(first, str) else json.dumps(first, ensure_ascii=False)


def _texts(target: Any) -> str | list[str]:
    if isinstance(target, list):
        return [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in target]
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def _equals(result: JsonObject) -> str | None:
    test = result.get("testCase")
    asserted = test.get("assert") if isinstance(test, dict) else None
    values = [one.get("value") for one in asserted or () if isinstance(one, dict) and one.get("type") == "equals"]
    return values[0] if len(values) == 1 and isinstance(values[0], str) and values[0].strip() else None
