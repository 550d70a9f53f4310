"""SNIPS to JSON: the prompted and the tuned starter, each writing freely and held to the schema. `python -m benchmarks.json_targets`.

One `provetune run` of the project trains, proves and leaves the weights; the same candidates are then measured on the same validation rows
in the other way of decoding. Some twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from benchmarks.work import Conversation, data_folder, snips
from provetune.records.evaluation import Evaluation, Evidence
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.project import Project, open_project
from provetune.workflow.prompts import with_shots
from provetune.workflow.run import run_project
from provetune.workflow.tuned import load_generator

METRICS = ("json_valid", "schema_valid", "field_f1", "exact_match")


def write_project(folder: Path, rows: int) -> None:
    """The rows, the schema that holds every slot of every intent, and the project file."""
    folder.mkdir(parents=True, exist_ok=True)
    conversations = [_in_schema_order(turns) for turns, _ in zip(snips(data_folder()), range(rows), strict=False)]
    lines = [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in conversations]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    targets = [json.loads(turns[-1][1]) for turns in conversations]
    slots = sorted({name for target in targets for name in target["slots"]})
    schema = {
        "type": "object",
        "properties": {
            "intent": {"enum": sorted({target["intent"] for target in targets})},
            "slots": {"type": "object", "properties": {name: {"type": "string"} for name in slots}, "additionalProperties": False},
        },
        "required": ["intent", "slots"],
        "additionalProperties": False,
    }
    (folder / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    (folder / "provetune.yaml").write_text(
        "version: 1\nname: snips\ndata: {path: rows.jsonl, split: {test: 0.1, validation: 0.05}}\n"
        "task: {type: extract, schema: schema.json, max_new_tokens: 128}\nmetric: field_f1\n"
        "train: {method: full, epochs: 5}\nprove: {decoding: free}\n",
        encoding="utf-8",
    )


def _in_schema_order(turns: Conversation) -> Conversation:
    """The slots in the order in which the schema names them: completions that are held to it come in that order."""
    target = json.loads(turns[-1][1])
    slots = dict(sorted(target["slots"].items()))
    return [*turns[:-1], ("assistant", json.dumps({"intent": target["intent"], "slots": slots}, ensure_ascii=False))]


def constrained(project: Project, prepared: Prepared, evidence: Evidence) -> list[Evaluation]:
    """Every candidate of the proof on the validation rows once more, held to the schema."""
    schema = json.dumps(json.loads((project.folder / "schema.json").read_text()), separators=(",", ":"))
    found = []
    for one in (e for e in evidence.evaluations if e.part == "test"):
        settings = one.candidate.generation.model_copy(update={"json_schema": schema})
        tuned = one.candidate.weights_folder
        generator = prepared.base
        if tuned is not None:
            generator = with_shots(project, prepared.train, load_generator(project, None, project.folder / tuned))
        candidate = one.candidate.model_copy(update={"generation": settings})
        found.append(steps.evaluate(project, candidate, generator, prepared.validation, "validation"))
    return found


def line(found: Evaluation, decoding: str) -> str:
    """A row of the table."""
    cells: list[Any] = [found.candidate.name, decoding, len(found.example_ids), *(found.summary.get(name) for name in METRICS)]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    """Write the project where it is not there yet, run it (or continue it), print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/bench/snips-json"))
    parser.add_argument("--rows", type=int, default=9000)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if not (asked.folder / "provetune.yaml").is_file():
        write_project(asked.folder, asked.rows)
    project = open_project(asked.folder, (), lambda *_: None)
    outcome = run_project(project)
    evidence = Evidence.from_json(outcome.evidence.read_text(encoding="utf-8"))
    prepared = prepare(project)
    print(f"{evidence.decision.outcome}: {evidence.decision.sentence}\n")
    print("| candidate | decoding | rows | " + " | ".join(METRICS) + " |\n|---|---|--:|" + "---|" * len(METRICS))
    names = {e.candidate.name for e in evidence.evaluations if e.part == "test"}
    for one in evidence.evaluations:
        if one.candidate.name in names:
            print(line(one, f"free, {one.part}"))
    for one in constrained(project, prepared, evidence):
        print(line(one, "held to the schema, validation"))


if __name__ == "__main__":
    main()
