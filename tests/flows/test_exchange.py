"""`export` and `import`, and `init` on files of other tools, as a user meets them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from provetune.formats import READERS, WRITERS, Notes
from provetune.formats.row import example_of
from provetune.spec import ColumnsSpec
from provetune.spec.text import load_spec
from tests.flows.conftest import Done, call, ticket_rows, write_chat, write_csv, write_jsonl

NO_FILE_YET = re.compile(r"data\.\w+|task\.type")
"""Keys of a project file, which an error of `init` must not send anybody to."""


def refused(done: Done, *words: str) -> None:
    assert done.code == 2 and "Traceback" not in done.err and "this is a bug" not in done.err, done.err
    missing = [word for word in words if word not in done.err]
    assert not missing, f"{missing} not in {done.err!r}"


def document(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert isinstance(content, dict)
    return content


# -- export


@pytest.mark.parametrize("to", [name for name in WRITERS if name != "preference"])
def test_a_table_goes_to_every_format_and_back(tmp_path: Path, to: str) -> None:
    data = write_csv(tmp_path / "rows.csv", [(f"{text}: née “x”;", label) for text, label in ticket_rows(30)])
    ending = to if to in ("csv", "tsv", "xlsx", "parquet") else "jsonl"
    there, back = tmp_path / f"there.{ending}", tmp_path / "back.csv"
    assert document(call("--format", "json", "export", data, "--to", to, "--out", there))["rows"] == 30
    columns = ("--prompt", "message", "--target", "queue") if to in ("csv", "tsv", "xlsx", "parquet", "datasets") else ()
    done = call("export", there, "--to", "csv", "--out", back, *columns)
    assert done.code == 0 and "30 rows as csv" in done.out, done.err
    before, after = (list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) for path in (data, back))
    names = ("message", "queue") if columns else ("prompt", "completion")
    assert [(row["message"], row["queue"]) for row in before] == [tuple(row[name] for name in names) for row in after]
    assert [row["ticket"] for row in before] == [row["ticket"] for row in after]


def test_what_a_format_cannot_hold_is_refused_with_counts(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "no", "weight": 0},
        {"role": "assistant", "content": "yes"},
    ]
    rows = [{"messages": turns}, {"messages": turns[:1] + turns[2:]}]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.csv"
    done = call("export", data, "--to", "csv", "--out", out)
    refused(
        done, f"{data}: 'csv' cannot hold 1 of 2 rows, nothing is written: 1 row left out: more turns than a user's", "write it as 'chat'"
    )
    assert not list(tmp_path.glob("out*"))
    refused(call("export", data, "--to", "preference", "--out", out), "cannot hold 2 of 2 rows", "no answer to be ranked below")


def test_what_is_lost_is_listed_with_counts(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{k}", "completion": "ab"[k % 2], "n": k, "deep": [k]} for k in range(12)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = document(call("--format", "json", "export", data, "--to", "csv", "--out", tmp_path / "out.csv"))
    assert found["schema"] == "provetune.export/1" and found["rows"] == 12
    assert [line.partition(" (first")[0] for line in found["left_out"]] == [
        "left out of 12 rows: that 'n' was no text; a table holds text only",
        "left out of 12 rows: 'deep', which is null or nested; a table holds text only",
    ]
    again = tmp_path / "again.jsonl"
    assert document(call("--format", "json", "export", data, "--to", "prompt-completion", "--out", again))["left_out"] == []
    assert [json.loads(line) for line in again.read_text().splitlines()] == rows


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "rows.jsonl", ticket_rows(12))
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    refused(call("export", data, "--to", "chat", "--out", out), "out.jsonl: is there already", "--force")
    refused(call("export", data, "--to", "chat", "--out", data, "--force"), "never the file that is read")
    assert out.read_text() == "mine"
    assert call("export", data, "--to", "chat", "--out", out, "--force").code == 0
    refused(call("export", data, "--to", "chta", "--out", tmp_path / "x"), "--to: found 'chta'", "did you mean 'chat'?")
    refused(call("export", data, "--to", "chat", "--out", tmp_path / "x", "--from", "x"), "--from: found 'x', wanted one of auto")
    refused(call("export", data, "--to", "chat", "--out", tmp_path / "no" / "folder.jsonl"), "wanted a file that can be written")


def test_labels_become_choices_of_label_studio(tmp_path: Path) -> None:
    data, out = write_csv(tmp_path / "rows.csv", ticket_rows(30)), tmp_path / "tasks.json"
    assert call("export", data, "--to", "label-studio", "--out", out).code == 0
    tasks = json.loads(out.read_text())
    assert len(tasks) == 30 and tasks[0]["annotations"][0]["result"][0]["type"] == "choices"


# -- init on files of other tools


def test_init_chooses_a_sheet_and_says_so(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["a note"])
    sheet = book.create_sheet("tickets")
    for row in [("message", "queue"), *ticket_rows(30)]:
        sheet.append(row)
    book.save(tmp_path / "rows.xlsx")
    done = call("-C", tmp_path, "init", tmp_path / "rows.xlsx")
    assert done.code == 0 and "Which part holds the examples? Guessed 'tickets'" in done.err, done.err
    spec = load_spec(tmp_path / "provetune.yaml")
    assert (spec.data.path, spec.task.type) == ("rows.xlsx#tickets", "classify")
    audited = call("audit", "-C", tmp_path)
    assert audited.code == 0 and "30 rows with 3 labels" in audited.out, audited.err


def test_init_counts_what_an_export_leaves_out(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = []
    for k, (text, label) in enumerate(ticket_rows(30)):
        votes = [{"result": [{"from_name": "q", "type": "choices", "value": {"choices": [label]}}]}] if k % 10 else []
        tasks.append({"id": k, "data": {"text": text}, "annotations": votes})
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    found = document(call("--format", "json", "-C", tmp_path, "init", tmp_path / "tasks.json"))
    assert (found["format"], found["rows"], found["task"]) == ("label-studio", 27, "classify")
    assert found["left_out"] == [f"3 rows left out: no answer by an annotator (first: {tmp_path / 'tasks.json'}:1)"]
    assert "3 rows left out" in call("-C", tmp_path, "init", tmp_path / "tasks.json", "--force").out


def test_init_takes_the_columns_that_it_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{text},{label},{k}\n" for k, (text, label) in enumerate(ticket_rows(30)))
    (tmp_path / "rows.csv").write_text("text,label,answer\n" + rows)
    done = call("-C", tmp_path, "init", tmp_path / "rows.csv", "--target", "answer", "--prompt", "label")
    assert done.code == 0 and "Guessed" not in done.err, done.err
    assert load_spec(tmp_path / "provetune.yaml").data.columns.model_dump(exclude_defaults=True) == {"prompt": "label", "target": "answer"}


BAD: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...], tuple[str, ...]]] = {
    "header only": ("rows.csv", lambda p: p.write_text("text,label\n"), (), ("found 0 rows", "the file holds a header")),
    "one column": ("rows.csv", lambda p: p.write_text("text\nhello\n"), (), ("found one column, 'text'", "a prompt and a target")),
    "one key": (
        "rows.jsonl",
        lambda p: p.write_text('{"text": "x"}\n' * 12),
        (),
        ("found one column only, 'text'", "a prompt and a target"),
    ),
    "wrong name": (
        "rows.csv",
        lambda p: write_csv(p, ticket_rows(12)),
        ("--target", "quue", "--prompt", "message"),
        ("'quue' is missing", "--target"),
    ),
    "chat": ("rows.jsonl", lambda p: write_chat(p, ticket_rows(12)), ("--target", "x"), ("--target: found 'x'", "remove the option")),
    "null": ("rows.jsonl", lambda p: p.write_text('{"prompt": "x", "completion": null}\n'), (), ("is null", "remove the row")),
    "absent": ("rows.csv", lambda p: None, (), ("no such file", "check the name")),
    "twice": (
        "rows.jsonl",
        lambda p: p.write_text('{"id": 1, "prompt": "x", "completion": "y"}\n' * 2),
        (),
        ("used already", "rename the column"),
    ),
    "two texts": (
        "tasks.json",
        lambda p: p.write_text('[{"data": {"a": "x", "b": "y"}, "annotations": []}]'),
        (),
        ("no usual name is the prompt column", "--prompt NAME"),
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_advice_at_the_start_needs_no_project_file(tmp_path: Path, fault: str) -> None:
    name, write, more, words = BAD[fault]
    write(tmp_path / name)
    done = call("-C", tmp_path, "init", tmp_path / name, *more)
    refused(done, name if fault != "chat" else "--target", *words)
    assert not NO_FILE_YET.search(done.err), done.err


# -- import

JOB = {
    **{"object": "fine_tuning.job", "id": "ftjob-1", "model": "gpt-4.1-mini", "created_at": 1721764800, "status": "succeeded"},
    **{"training_file": "file-abc", "validation_file": "file-def", "result_files": [], "trained_tokens": 5768, "seed": 42},
    **{"hyperparameters": {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 1.8}, "user_provided_suffix": "tickets"},
    **{"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 8}}}},
    "integrations": [{"type": "wandb", "wandb": {"project": "p"}}],
}


def job_files(folder: Path, job: dict[str, Any]) -> Path:
    folder.mkdir()
    write_chat(folder / "file-abc.jsonl", ticket_rows(60))
    write_chat(folder / "file-def.jsonl", ticket_rows(30, seed=9))
    (folder / "job.json").write_text(json.dumps(job, indent=2))
    return folder


def test_an_openai_job_becomes_a_project(tmp_path: Path) -> None:
    files = job_files(tmp_path / "openai", JOB)
    project = tmp_path / "project"
    found = document(call("--format", "json", "-C", project, "import", "openai", files / "job.json", "--files", files))
    spec = load_spec(project / "provetune.yaml")
    assert (spec.name, spec.data.path, spec.data.test) == ("tickets", "../openai/file-abc.jsonl", "../openai/file-def.jsonl")
    assert (spec.train.epochs, spec.train.batch_size, spec.train.seeds, spec.base.model) == (3, 8, [42], "starter")
    assert found["train"] == {"epochs": 3, "batch_size": 8, "seeds": [42]}
    unmapped = "\n".join(found["unmapped"])
    for word in ("learning_rate_multiplier 1.8", "model gpt-4.1-mini", "integrations", "validation_file as validation rows"):
        assert word in unmapped
    assert "ftjob-1" not in unmapped and "trained_tokens" not in unmapped  # facts, not settings
    (files / "list.json").write_text(json.dumps({"object": "list", "data": [JOB], "has_more": False}))
    done = call("-C", tmp_path / "other", "import", "openai", files / "list.json")
    assert "not taken over: hyperparameters.learning_rate_multiplier" in done.out and done.out.splitlines()[-1].startswith("Next: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training_file": "file-xyz"}, ("found 0 files for 'file-xyz'", "file-xyz.jsonl")),
        ({"training_file": "../file-abc"}, ("found a text as the name of a file",)),
        ({"training_file": None}, ("found null as the name of a file",)),
    ],
)
def test_a_job_without_its_files_is_refused(tmp_path: Path, change: dict[str, Any], words: tuple[str, ...]) -> None:
    files = job_files(tmp_path / "openai", {**JOB, **change})
    refused(call("-C", tmp_path, "import", "openai", files / "job.json"), *words)
    assert not (tmp_path / "provetune.yaml").exists()


def test_what_is_no_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"a": 1}')
    refused(call("-C", tmp_path, "import", "openai", tmp_path / "job.json"), "found keys a, wanted a fine-tuning job with 'training_file'")
    (tmp_path / "job.json").write_text(json.dumps({"object": "list", "data": [JOB, JOB]}))
    refused(call("-C", tmp_path, "import", "openai", tmp_path / "job.json"), "found a list of 2 jobs, wanted one")
    (tmp_path / "job.json").write_text('{\n"a": }')
    refused(call("-C", tmp_path, "import", "openai", tmp_path / "job.json"), "job.json:1: not JSON", "line 2")
    refused(
        call("-C", tmp_path, "import", "opneai", tmp_path / "job.json"), "found 'opneai', wanted one of openai", "did you mean 'openai'?"
    )
    (tmp_path / "job.json").write_text("a: 1\nb: [\n")
    refused(call("-C", tmp_path, "import", "axolotl", tmp_path / "job.json"), "job.json:3: not YAML")


AXOLOTL = """
base_model: org/model-1b
adapter: lora
lora_r: 8
lora_alpha: 16
lora_target_modules: [q_proj, v_proj]
datasets:
  - path: rows.jsonl
    type: alpaca
num_epochs: 2
learning_rate: 2e-4
micro_batch_size: 2
gradient_accumulation_steps: 4
sequence_len: 512
optimizer: adamw_torch
val_set_size: 0.1
"""


def test_an_axolotl_configuration_becomes_a_project(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", ticket_rows(60), ("instruction", "output"))
    (tmp_path / "config.yml").write_text(AXOLOTL)
    found = document(call("--format", "json", "-C", tmp_path, "import", "axolotl", tmp_path / "config.yml"))
    train = load_spec(tmp_path / "provetune.yaml").train
    assert (train.method, train.epochs, train.learning_rate, train.batch_size, train.max_length) == ("lora", 2, 2e-4, 8, 512)
    assert (train.lora.r, train.lora.alpha, train.lora.targets) == (8, 16, "q_proj,v_proj")
    assert load_spec(tmp_path / "provetune.yaml").base.model == "org/model-1b"
    assert [line.split(":")[0] for line in found["unmapped"]] == ["datasets.type 'alpaca'", "optimizer 'adamw_torch'", "val_set_size 0.1"]


def test_a_llama_factory_configuration_becomes_a_project(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": label}]} for text, label in ticket_rows(60)]
    (data / "tickets.json").write_text(json.dumps(rows))
    (data / "dataset_info.json").write_text(json.dumps({"tickets": {"file_name": "tickets.json", "formatting": "sharegpt"}}))
    (tmp_path / "sft.yaml").write_text(
        "model_name_or_path: org/model-1b\nstage: sft\ndo_train: true\nfinetuning_type: lora\nlora_target: all\ndataset: tickets\n"
        "dataset_dir: data\ncutoff_len: 512\nnum_train_epochs: 3.0\nlearning_rate: 1.0e-4\nlora_rank: 8\nnum_gpus: 2.5\n"
    )
    found = document(call("--format", "json", "-C", tmp_path / "p", "import", "llama-factory", tmp_path / "sft.yaml", "--base", "starter"))
    spec = load_spec(tmp_path / "p" / "provetune.yaml")
    assert (spec.data.path, spec.base.model) == ("../data/tickets.json", "starter")
    assert found["train"] == {
        **{"method": "lora", "lora": {"targets": "all-linear", "r": 8}, "max_length": 512, "epochs": 3, "learning_rate": 1e-4},
    }
    assert [line.split(":")[0] for line in found["unmapped"]] == ["tickets.formatting", "stage 'sft'", "num_gpus 2.5"]


def test_a_setting_that_is_out_of_bounds_is_listed(tmp_path: Path) -> None:
    files = job_files(tmp_path / "openai", {**JOB, "method": None, "hyperparameters": {"n_epochs": 0, "batch_size": "many"}})
    found = document(call("--format", "json", "-C", tmp_path, "import", "openai", files / "job.json"))
    assert found["train"] == {"seeds": [42]}
    assert "hyperparameters.n_epochs 0: cannot be taken over" in found["unmapped"]
    assert "hyperparameters.batch_size 'many': cannot be taken over" in found["unmapped"]


def test_an_imported_project_is_audited(tmp_path: Path) -> None:
    files = job_files(tmp_path / "openai", JOB)
    assert call("-C", tmp_path / "p", "import", "openai", files / "job.json").code == 0
    audited = call("audit", "-C", tmp_path / "p")
    assert audited.code == 0 and "60 rows with 3 labels" in audited.out, audited.out + audited.err


def test_an_openai_file_comes_back_line_by_line(tmp_path: Path) -> None:
    """Everything that OpenAI's format has, through the reader and the writer, value for value."""
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}, "strict": True},
    }
    call_ = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    row = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "assistant", "content": "wrong", "weight": 0},
            {"role": "assistant", "content": None, "tool_calls": [call_]},
            {"role": "tool", "content": "2", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "two"},
        ],
        **{"tools": [tool], "parallel_tool_calls": False, "id": 7, "tags": ["a", {"b": None}], "score": 0.5, "gone": None, "lang": "en"},
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    notes = Notes()
    (found,) = READERS["chat"](tmp_path / "rows.jsonl", ColumnsSpec(), notes)
    WRITERS["chat"](tmp_path / "again.jsonl", [example_of(found, "rows.jsonl")], ColumnsSpec(), notes)
    assert json.loads((tmp_path / "again.jsonl").read_text()) == row and notes.lines() == []
