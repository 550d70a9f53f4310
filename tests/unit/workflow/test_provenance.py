"""From the first file to the training tensor: every row counted, on real files that readers, fixes and splits take rows out of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from provetune.records.augmentation import AugmentationReport
from provetune.records.candidate import TrainingRun
from provetune.records.data import Split
from provetune.records.provenance import UNEXPLAINED, Provenance
from provetune.workflow import steps
from provetune.workflow.mend import write_fixed
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.provenance import provenance
from tests.flows.conftest import ticket_rows, write_chat
from tests.unit.report.factory_parts import run_of


def opened(folder: Path, *overrides: str) -> tuple[Project, Split]:
    project = open_project(folder, overrides, lambda *_: None)
    begin_run(project)
    return project, steps.split_project(project, steps.audit_project(project))


def write_spec(folder: Path, data: str, more: str = "") -> None:
    (folder / "provetune.yaml").write_text(f"version: 1\nname: tickets\ndata:\n{data}task: classify\n{more}", encoding="utf-8")


def trained(split: Split, *, longer: int = 0, more: int = 0, name: str = "lora") -> TrainingRun:
    used = len(split.train_ids) + more - longer
    return run_of("lora", steps=4).model_copy(
        update={"rows_used": used, "rows_left_out": longer, "weights_folder": f"runs/x/weights/{name}"}
    )


def step(found: Provenance, name: str) -> dict[str, Any]:
    (change,) = (change for change in found.changes if change.step == name)
    return change.model_dump()


def label_studio_task(number: int, text: str, labels: list[str], *, cancelled: bool = False) -> dict[str, Any]:
    results = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}} for label in labels]
    annotations = [{"id": k, "completed_by": k, "was_cancelled": cancelled, "result": [one]} for k, one in enumerate(results)]
    return {"id": number, "data": {"text": text, "license": "CC BY 4.0" if number % 2 else ""}, "annotations": annotations}


def test_rows_that_a_reader_leaves_out_reach_audit_and_record(tmp_path: Path) -> None:
    tasks = [label_studio_task(k, text, [label]) for k, (text, label) in enumerate(ticket_rows(80))]
    tasks += [label_studio_task(80, "nobody said", []), label_studio_task(81, "cancelled", ["billing"], cancelled=True)]
    tasks += [label_studio_task(82, "a tie", ["billing", "access"])]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    write_spec(tmp_path, "  path: tasks.json\n  licence: own\n  collected: Chats of May 2026, by our help desk.\n")
    project, split = opened(tmp_path)

    rows, parts = (f for f in steps.audit_project(project).findings if f.check == "left_out_on_reading")
    assert (rows.count, rows.severity, parts.severity) == (3, "info", "info")
    assert "3 rows of 83 in tasks.json" in rows.message and "disagree" in rows.message and "cancelled" in parts.message

    found = provenance(project, split, (trained(split, longer=2),))
    (source,) = found.sources
    assert (source.rows, source.examples, source.files) == (83, 80, 1)
    assert source.bytes == (tmp_path / "tasks.json").stat().st_size
    assert source.sha256 == hashlib.sha256((tmp_path / "tasks.json").read_bytes()).hexdigest()
    assert (source.format, source.licence, found.collected) == ("label-studio", "own", "Chats of May 2026, by our help desk.")
    assert found.row_licences == {"CC BY 4.0": 40}
    read = step(found, "read tasks.json")
    assert (read["rows_in"], read["rows_out"], sum(read["removed"].values())) == (83, 80, 3)
    assert step(found, "split")["moved"] == {"validation": len(split.validation_ids), "test, sealed": len(split.test_ids)}
    (training,) = found.trainings
    assert training.rows == len(split.train_ids) - 2 and list(training.changes[-1].removed.values()) == [2]
    assert UNEXPLAINED not in found.to_json()


def test_fixes_stand_before_the_file_that_they_made(tmp_path: Path) -> None:
    rows = ticket_rows(60)
    data = write_chat(tmp_path / "rows.jsonl", [*rows, (rows[0][0].upper(), rows[0][1]), ("in\u200bvoice again since today", "billing")])
    before = hashlib.sha256(data.read_bytes()).hexdigest()
    write_spec(tmp_path, "  path: rows.jsonl\n")
    first = write_fixed(open_project(tmp_path, (), lambda *_: None))
    assert first.source is not None and first.written is not None
    project, split = opened(tmp_path, f"data.path={first.written.path}")
    found = provenance(project, split)
    assert [change.step for change in found.changes] == ["read rows.jsonl", "audit --fix of rows.jsonl", "read rows.fixed.jsonl", "split"]
    assert [source.path for source in found.sources] == ["rows.jsonl", "rows.fixed.jsonl"] and found.sources[0].sha256 == before
    fixed = step(found, "audit --fix of rows.jsonl")
    assert (fixed["rows_in"], fixed["rows_out"]) == (62, 61)
    assert (fixed["removed"], fixed["altered"]) == ({"repeated rows": 1}, {"invisible characters": 1})

    # a file that was changed by hand since has no known past
    with (tmp_path / first.written.path).open("a", encoding="utf-8") as file:
        turns = [{"role": "user", "content": "a new one"}, {"role": "assistant", "content": "billing"}]
        file.write(json.dumps({"id": "new", "messages": turns}) + "\n")
    project, split = opened(tmp_path, f"data.path={first.written.path}")
    assert [source.path for source in provenance(project, split).sources] == ["rows.fixed.jsonl"]


def test_leaked_rows_and_augmented_rows_are_counted(tmp_path: Path) -> None:
    rows = ticket_rows(90)
    write_chat(tmp_path / "rows.jsonl", rows)
    write_chat(tmp_path / "test.jsonl", [*ticket_rows(30, seed=9), rows[7], rows[8]])
    write_spec(tmp_path, "  path: rows.jsonl\n  test: test.jsonl\n", "")
    project, split = opened(tmp_path)
    made = AugmentationReport(original_rows=len(split.train_ids), made=9, kept=5, dropped={"a copy": 4}, comparisons=(), sentence="")
    found = provenance(project, split, (trained(split), trained(split, more=5, name="lora-augmented")), made)
    assert [(source.role, source.examples) for source in found.sources] == [("examples", 90), ("test", 32)]
    cut = step(found, "split")
    assert cut["removed"] == {"equal or nearly equal to a row of the test file": 2} and list(cut["moved"]) == ["validation"]
    plain, augmented = found.trainings
    assert [change.step for change in plain.changes] == ["to tokens"] and augmented.changes[0].added == {"augmentation": 5}
    assert augmented.rows - plain.rows == 5 and UNEXPLAINED not in found.to_json()


def test_rows_that_no_record_explains_are_shown_as_such(tmp_path: Path) -> None:
    write_chat(tmp_path / "rows.jsonl", ticket_rows(60))
    write_spec(tmp_path, "  path: rows.jsonl\n")
    project, split = opened(tmp_path)
    more, fewer = provenance(project, split, (trained(split, more=3), trained(split, more=-2))).trainings
    assert (more.changes[0].added, fewer.changes[0].removed) == ({UNEXPLAINED: 3}, {UNEXPLAINED: 2})


def test_labels_are_trimmed_and_that_is_counted(tmp_path: Path) -> None:
    write_chat(tmp_path / "rows.jsonl", [(text, f"{label} " if k < 4 else label) for k, (text, label) in enumerate(ticket_rows(40))])
    write_spec(tmp_path, "  path: rows.jsonl\n")
    project, split = opened(tmp_path)
    assert step(provenance(project, split), "read rows.jsonl")["altered"] == {"without blanks around the label": 4}


def test_a_data_set_of_the_library_brings_its_licence(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, labels = zip(*ticket_rows(40), strict=True)
    (tmp_path / "set").mkdir()
    for part, low in (("00000", 0), ("00001", 20)):
        table = pa.table({"text": list(texts[low : low + 20]), "label": list(labels[low : low + 20])})
        pq.write_table(table, tmp_path / "set" / f"train-{part}-of-00002.parquet")
    (tmp_path / "set" / "dataset_info.json").write_text('{"license": "cc0-1.0"}')
    write_spec(tmp_path, "  path: set\n  columns: {prompt: text, target: label}\n")
    (source,) = open_project(tmp_path, (), lambda *_: None).sources
    assert (source.format, source.files, source.rows, source.licence) == ("datasets", 2, 40, "cc0-1.0")
    assert source.bytes == sum(file.stat().st_size for file in (tmp_path / "set").glob("*.parquet"))
