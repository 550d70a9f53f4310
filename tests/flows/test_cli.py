"""The command line as a user meets it: first steps, one JSON document, bad inputs, a whole run and what may follow it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provetune.cli.progress import Lines
from provetune.errors import EvidenceError, FolderError
from provetune.models.locate import STARTER
from provetune.spec import json_schema
from provetune.spec.text import load_spec
from provetune.workflow.demo import EXAMPLE, RECORDED, lay_out, lay_out_recording
from provetune.workflow.doctor import starter_state
from tests.flows.conftest import Done, Trained, call, ticket_rows, write_chat, write_csv, write_jsonl, write_project

WORD = {0: "SHIP", 3: "HOLD", 4: "NOT ENOUGH EVIDENCE"}


def one_document(done: Done) -> dict[str, Any]:
    """The only document on standard output."""
    content = json.loads(done.out)
    assert isinstance(content, dict)
    return content


def refused(done: Done, code: int, *words: str) -> None:
    """Ended as promised: one clear message with these words, no traceback."""
    assert done.code == code, done.err
    assert (
        any(line.startswith("error: ") for line in done.err.splitlines())
        and "Traceback" not in done.err
        and "this is a bug" not in done.err
    )
    missing = [word for word in words if word not in done.err]
    assert not missing, f"{missing} not in {done.err!r}"


# -- first steps


@pytest.mark.parametrize(
    ("write", "columns"),
    [
        (lambda folder: write_csv(folder / "rows.csv", ticket_rows(60)), {"prompt": "message", "target": "queue"}),
        (lambda folder: write_jsonl(folder / "rows.jsonl", ticket_rows(60)), {}),
        (lambda folder: write_chat(folder / "rows.jsonl", ticket_rows(60)), {}),
        (lambda folder: write_jsonl(folder / "rows.jsonl", ticket_rows(60), ("text", "label")), {"prompt": "text", "target": "label"}),
        (lambda folder: write_jsonl(folder / "rows.jsonl", ticket_rows(60), ("words", "kind")), {"prompt": "words", "target": "kind"}),
    ],
    ids=["csv", "prompt-completion", "chat", "usual keys", "own keys"],
)
def test_init_then_audit(tmp_path: Path, write: Callable[[Path], Path], columns: dict[str, str]) -> None:
    data = write(tmp_path)
    done = call("-C", tmp_path, "init", data)
    assert done.code == 0, done.err
    sentence, following = done.out.splitlines()[-2:]
    assert "60 rows" in sentence and "3 labels" in sentence and following.startswith("Next: ") and "audit" in following
    assert len((tmp_path / "provetune.yaml").read_text().splitlines()) <= 15
    spec = load_spec(tmp_path / "provetune.yaml")
    assert (spec.data.path, spec.task.type, spec.base.model) == (data.name, "classify", "starter")
    assert {k: v for k, v in spec.data.columns.model_dump().items() if v} == columns
    assert json.loads((tmp_path / ".provetune" / "schema.json").read_text()) == json_schema()
    audited = call("audit", "-C", tmp_path)
    assert audited.code == 0, audited.err
    assert "60 rows with 3 labels: nothing blocks" in audited.out.splitlines()[-2] and "tokens (starter)" in audited.out


def test_init_names_files_from_the_project_folder_and_takes_what_it_is_told(tmp_path: Path, base_folder: Path) -> None:
    data = write_jsonl(tmp_path / "rows.jsonl", ticket_rows(30))
    test = write_jsonl(tmp_path / "test.jsonl", ticket_rows(30, seed=9))
    project = tmp_path / "project"
    done = call("-C", project, "init", data, "--test", test, "--task", "generate", "--name", "my name", "--base", base_folder)
    assert done.code == 0, done.err
    spec = load_spec(project / "provetune.yaml")
    assert (spec.data.path, spec.data.test, spec.task.type, spec.name) == ("../rows.jsonl", "../test.jsonl", "generate", "my name")
    assert (project / spec.base.model).resolve() == base_folder.resolve()


def test_init_keeps_a_project_file_unless_forced(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text("mine")
    refused(call("-C", tmp_path, "init", data), 2, "provetune.yaml", "--force")
    assert (tmp_path / "provetune.yaml").read_text() == "mine"
    assert call("-C", tmp_path, "init", data, "--force").code == 0
    assert (tmp_path / "provetune.yaml").read_text() != "mine"


def test_init_warns_of_a_guess_where_nobody_can_be_asked(tmp_path: Path) -> None:
    rows = [{"one": text, "two": label, "three": label[:1] + str(len(text) % 2)} for text, label in ticket_rows(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    done = call("-C", tmp_path, "init", tmp_path / "rows.jsonl", "--format", "json")
    assert "warning: Which column holds the target" in done.err and "'two'" in done.err and "Which column holds the prompt" not in done.err
    assert one_document(done)["columns"] == {"prompt": "one", "target": "two"}


def test_init_asks_nothing_where_ids_and_dates_stand_beside_one_text_and_one_label(tmp_path: Path) -> None:
    lines = [f"R-{k},2025-0{k % 9 + 1}-1{k % 7},{text},{label}" for k, (text, label) in enumerate(ticket_rows(60))]
    (tmp_path / "rows.csv").write_text("\n".join(["ref,received,review,kind", *lines]) + "\n")
    done = call("-C", tmp_path, "init", tmp_path / "rows.csv", "--format", "json")
    assert one_document(done)["columns"] == {"prompt": "review", "target": "kind"} and "Which" not in done.err


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    rows = [json.dumps({"text": text, "body": f"{label} {text}", "label": label}) for text, label in ticket_rows(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "provetune", "-C", str(tmp_path), "init", str(tmp_path / "rows.jsonl")]
    with subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True) as asked:
        os.write(master, b"nonsense\ntext\n")
        out, _ = asked.communicate(timeout=240)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert asked.returncode == 0, shown
    assert "Which column holds the prompt" in shown and "found 'nonsense'" in shown and "prompt from 'text'" in out


# -- one document


def test_json_is_exactly_one_document(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ticket_rows(60))
    assert one_document(call("--format", "json", "-C", tmp_path, "init", data))["schema"] == "provetune.init/1"
    report = one_document(call("audit", "-C", tmp_path, "--format=json"))
    assert (report["schema"], report["count"]) == ("provetune.audit_report/1", 60)
    assert one_document(call("schema", "--format", "json"))["$schema"] == "http://json-schema.org/draft-07/schema#"
    doctor = one_document(call("doctor", "-C", tmp_path, "--format", "json"))
    assert (doctor["schema"], doctor["missing"], doctor["folder_writable"]) == ("provetune.doctor/1", [], "ok")


def test_an_error_is_one_document_too(tmp_path: Path) -> None:
    done = call("audit", "-C", tmp_path, "--format", "json")
    found = one_document(done)
    assert (found["schema"], found["error"], found["exit_code"], done.code) == ("provetune.error/1", "SpecError", 2, 2)
    assert found["message"] in done.err and "provetune init FILE" in found["message"]
    for mistake in (["audit", "--no-such-option"], ["--format", "json", "no-such-verb"], ["init"]):
        done = call(*mistake, "--format", "json")
        assert done.code == 2 and one_document(done)["exit_code"] == 2


def test_quiet_says_one_line(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ticket_rows(60))
    assert len(call("-C", tmp_path, "init", data, "--format", "quiet").out.splitlines()) == 1
    done = call("-C", tmp_path, "audit", "--format", "quiet")
    assert (len(done.out.splitlines()), done.err) == (1, "")


def test_version() -> None:
    from provetune import __version__

    assert call("--version").out == f"provetune {__version__}\n"


# -- bad inputs


def spec_text(data: str, more: str = "") -> str:
    return f"version: 1\nname: bad\ndata: {data}\ntask: classify\n{more}"


def broken_lines(path: Path) -> None:
    lines = [json.dumps({"prompt": text, "completion": label}) for text, label in ticket_rows(800)]
    lines[730] = lines[730][:-3]
    path.write_text("\n".join(lines) + "\n")


def rows_csv(rows: list[tuple[str, str]]) -> str:
    return "ticket,message,queue\n" + "".join(f"t{k},{text},{label}\n" for k, (text, label) in enumerate(rows))


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "empty": ("rows.csv", lambda p: p.write_text(""), ("rows.csv: found 0 bytes", "wanted at least one example")),
    "not UTF-8": (
        "rows.csv",
        lambda p: p.write_bytes(rows_csv(ticket_rows(30)).encode() + b"t,caf\xe9,billing\n"),
        ("rows.csv:32:", "0xe9", "iconv"),
    ),
    "broken JSON": ("rows.jsonl", broken_lines, ("rows.jsonl:731:", "not JSON", "one JSON object per line")),
    "one class": (
        "rows.csv",
        lambda p: p.write_text(rows_csv([(t, "billing") for t, _ in ticket_rows(30)])),
        ("rows.csv", "found one label only", "wanted at least 2"),
    ),
    "duplicate ids": (
        "rows.csv",
        lambda p: p.write_text("id,message,queue\n" + "".join(f"t{k % 25},{t},{q}\n" for k, (t, q) in enumerate(ticket_rows(30)))),
        ("rows.csv:27:", "id 't0' is used already on line 2", "wanted each id once"),
    ),
    "three rows": ("rows.csv", lambda p: p.write_text(rows_csv(ticket_rows(3))), ("rows.csv: found 3 rows", "wanted at least 10")),
    "ragged": (
        "rows.csv",
        lambda p: p.write_text(rows_csv(ticket_rows(30)) + "t31,one, two,billing\n"),
        ("rows.csv:32: found 4 fields", "wanted 3"),
    ),
    "no file": ("rows.csv", lambda p: None, ("rows.csv: found no such file", "wanted")),
}


@pytest.mark.parametrize("verb", ["init", "audit", "run"])
@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, fault: str, verb: str) -> None:
    name, write, words = BAD_FILES[fault]
    write(tmp_path / name)
    if verb != "init":
        (tmp_path / "provetune.yaml").write_text(spec_text(name))
    given: list[str | Path] = [tmp_path / name, "--task", "classify"] if verb == "init" else []
    refused(call("-C", tmp_path, verb, *given), 2, *words)
    assert not list(tmp_path.glob(".provetune/crash-*"))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(spec_text("{path: rows.csv, columns: {prompt: mesage, target: queue}}"))
    refused(
        call("-C", tmp_path, "audit"), 2, "rows.csv:1:", "column 'mesage' is missing", "found columns ticket, message, queue", "'message'"
    )


def test_an_unknown_base_model_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv", "base: no-such-model\n"))
    refused(call("-C", tmp_path, "audit"), 2, "base.model: found 'no-such-model'", "wanted")
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv", "base: nobody-here/no-such-model\n"))
    refused(call("-C", tmp_path, "audit", "--offline"), 2, "base.model: 'nobody-here/no-such-model'", "base: starter")


def test_a_mistake_in_the_project_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv", "metrik: accuracy\n"))
    refused(call("-C", tmp_path, "audit"), 2, "provetune.yaml:5: metrik: unknown key", "'metric'")
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    refused(call("-C", tmp_path, "audit", "--set", "prove.margni=0.1"), 2, "override of prove.margni", "'margin'")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", ticket_rows(30))
    refused(call("-C", data / "below", "init", data), 2, "rows.csv/below", "wanted a folder that can be written")
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    (tmp_path / ".provetune").write_text("a file where the folder would be")
    refused(call("-C", tmp_path, "audit"), 2, str(tmp_path), "wanted a folder that can be written")


def test_rows_longer_than_the_context_block(tmp_path: Path, base_folder: Path) -> None:
    project = write_project(tmp_path / "project", base_folder, rows=60)
    rows = ticket_rows(60)
    write_csv(project / "tickets.csv", [(text * 40 if k < 6 else text, label) for k, (text, label) in enumerate(rows)])
    done = call("-C", project, "audit")
    assert done.code == 5 and "BLOCKER lengths: 6 rows of 60" in done.out and "remedy:" in done.out and "(tickets.csv:" in done.out
    refused(call("-C", project, "run"), 5, "lengths", "provetune audit")
    assert one_document(call("-C", project, "audit", "--format", "json"))["findings"][0]["severity"] == "blocker"


def test_a_label_seen_once_warns_and_goes_on(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", [*ticket_rows(60), ("where is my key", "lost")])
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    done = call("-C", tmp_path, "audit")
    assert done.code == 0 and "WARNING label_counts: 1 label is seen in one row only: lost" in done.out and "(rows.csv:62)" in done.out


def test_a_project_in_use_is_left_alone(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    (tmp_path / ".provetune").mkdir()
    with (tmp_path / ".provetune" / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        refused(call("-C", tmp_path, "audit"), 2, "another run is active (process 4711)")
    assert call("-C", tmp_path, "audit").code == 0


def test_a_bug_leaves_a_crash_report_and_no_traceback(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    assert call("-C", tmp_path, "audit").code == 0
    events = tmp_path / "runs" / "latest" / "events.jsonl"
    events.unlink()
    events.mkdir()
    done = call("-C", tmp_path, "audit", "--format", "json")
    (crash,) = tmp_path.glob(".provetune/crash-*.txt")
    assert done.code == 1 and "Traceback" not in done.err and "this is a bug" in done.err and crash.name in done.err
    assert "Traceback" in crash.read_text() and one_document(done)["error"] == "IsADirectoryError"


# -- a run and what may follow it


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs" / "latest" / "events.jsonl").read_text().splitlines()]


def test_a_run_says_its_verdict(trained: Trained) -> None:
    done = trained.done
    assert done.code in WORD and done.out.splitlines()[0] == WORD[done.code]
    for word in ("zero-shot", "few-shot", "linear", "tuned-lora (chosen)", "parsed", "opening 1 of the test split", "95 % confidence"):
        assert word in done.out
    assert done.out.splitlines()[-1].startswith("Next: ")
    for name in ("report.html", "evidence.json", "adapter"):
        assert (trained.folder / "runs" / "latest" / name).exists() and f"/{name}" in done.out
    assert "lora: optimizer steps: 100 %" in done.err
    for chatter in ("it/s", "Loading weights", "Writing model shards", "Warning"):
        assert chatter not in done.err


def test_a_second_run_computes_nothing_and_the_evidence_verifies(trained: Trained) -> None:
    evidence = trained.folder / "runs" / "latest" / "evidence.json"
    before, events = evidence.read_bytes(), len(events_of(trained.folder))
    again = call("-C", trained.folder, "run", "--format", "json")
    assert again.code == trained.done.code, again.err
    decision = json.loads(before)["decision"]
    document = one_document(again)
    assert document.pop("schema") == "provetune.decision/1" and document == decision
    assert {event["event"] for event in events_of(trained.folder)[events:]} == {"reused"}
    assert evidence.read_bytes() == before

    found = call("-C", trained.folder, "report")
    assert found.code == 0 and (trained.folder / "runs" / "latest").resolve().name in found.out.splitlines()[0]
    verified = call("report", "--verify", evidence)
    assert verified.code == 0 and verified.out.splitlines()[0] == WORD[trained.done.code] and "verified:" in verified.out


def test_a_report_that_is_gone_is_written_again(trained: Trained) -> None:
    report = (trained.folder / "runs" / "latest").resolve() / "report.html"
    report.unlink()
    done = call("-C", trained.folder, "report")
    assert done.code == 0 and report.is_file(), done.err
    assert {event["event"] for event in events_of(trained.folder)[-3:]} <= {"reused", "decided"}
    report.unlink()
    yaml = trained.folder / "provetune.yaml"
    yaml.write_text(yaml.read_text().replace("prove: {retention: []}", "prove: {retention: [], margin: 0.3}"))
    refused(call("-C", trained.folder, "report"), 2, "report.html", "provetune prove")
    assert len((trained.folder / "ledger.jsonl").read_text().splitlines()) == 1


def test_a_report_before_any_decision_says_what_makes_one(tmp_path: Path) -> None:
    refused(call("-C", tmp_path, "report"), 2, "found no run with a decision", "provetune run")


def test_another_margin_is_another_opening_of_the_same_training(trained: Trained) -> None:
    done = call("-C", trained.folder, "prove", "--set", "prove.margin=0.5", "--format", "json")
    assert done.code in WORD, done.err
    assert one_document(done)["opening"] == 2 and one_document(done)["confidence"] == pytest.approx(0.975)
    assert len(list((trained.folder / "runs").glob("[0-9]*-*"))) == 2
    assert len((trained.folder / "ledger.jsonl").read_text().splitlines()) == 2
    assert not [event for event in events_of(trained.folder) if event["event"] == "started" and event["step"].startswith("tuning")]
    verified = call("report", "--verify", trained.folder / "runs" / "latest" / "evidence.json")
    assert verified.code == 0 and "opening 2 of the test split" in verified.out


def test_prove_trains_nothing(tmp_path: Path, base_folder: Path) -> None:
    project = write_project(tmp_path / "project", base_folder)
    refused(call("-C", project, "prove"), 2, "nothing is trained yet", "provetune run")


def flip_an_observation(evidence: dict[str, Any]) -> None:
    tested = next(e for e in evidence["evaluations"] if e["part"] == "test" and e["candidate"]["name"] == "linear")
    rows = tested["observations"]["accuracy"]
    rows[0] = [1.0 - rows[0][0]]


def raise_a_summary(evidence: dict[str, Any]) -> None:
    next(e for e in evidence["evaluations"] if e["part"] == "test")["summary"]["accuracy"]["value"] = 0.99


def first_opening(evidence: dict[str, Any]) -> None:
    evidence["openings"].insert(0, {**evidence["openings"][0], "spec": "0" * 16})


def set_path(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(evidence: dict[str, Any]) -> None:
        part: Any = evidence
        for key in path[:-1]:
            part = part[key]
        assert part[path[-1]] != value
        part[path[-1]] = value

    return change


TAMPERED: dict[str, Callable[[dict[str, Any]], None]] = {
    "sentence": set_path("decision", "sentence", value="It is proven."),
    "rule": set_path("rules", 0, "margin", value=-1.0),
    "observation": flip_an_observation,
    "summary": raise_a_summary,
    "comparison": set_path("comparisons", 0, "difference", "low", value=0.9),
    "opening": set_path("decision", "opening", value=7),
    "confidence": set_path("decision", "confidence", value=0.5),
    "an earlier opening": first_opening,
    "champion": set_path("champion", value="nobody"),
    "unknown key": lambda evidence: evidence.update(more=1),
    "missing key": lambda evidence: evidence.pop("decision"),
    "missing fixed rules": lambda evidence: evidence["fixed_before_training"].pop("rules"),
    "other schema": set_path("schema", value="provetune.plan/1"),
    "newer schema": set_path("schema", value="provetune.evidence/99"),
    "zero schema": set_path("schema", value="provetune.evidence/0"),
    "fewer groups": lambda evidence: evidence["evaluations"][-1]["group_ids"].pop(),
    "unknown metric": lambda evidence: evidence["evaluations"][-1]["metrics"].update(magic="magic/1"),
    "text for a number": set_path("comparisons", 0, "wins", value="many"),
}


@pytest.mark.parametrize("fault", TAMPERED)
def test_changed_evidence_is_refused(trained_once: Trained, tmp_path: Path, fault: str) -> None:
    evidence = json.loads((trained_once.folder / "runs" / "latest" / "evidence.json").read_text())
    TAMPERED[fault](evidence)
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(evidence))
    done = call("report", "--verify", file, "--format", "json")
    refused(done, 2, "evidence.json")
    assert one_document(done)["error"] == "EvidenceError"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 100_000, b'{"schema": 3}'])
def test_a_file_that_is_no_evidence_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(content)
    refused(call("report", "--verify", file), 2, "evidence.json")


def test_evidence_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(call("report", "--verify", tmp_path / "none.json"), 2, "none.json", "cannot be read")


@pytest.mark.slow
def test_a_stopped_run_says_so_and_goes_on(tmp_path: Path, base_folder: Path) -> None:
    project = write_project(tmp_path / "project", base_folder)
    command = [sys.executable, "-m", "provetune", "-C", str(project), "run", "--set", "train.epochs=200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            file = project / "runs" / "latest" / "events.jsonl"
            if file.is_file() and any(e["event"] == "started" and e["step"].startswith("tuning") for e in events_of(project)):
                break
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=240)
    assert (running.returncode, out) == (130, "")
    assert "interrupted, state saved; the same command continues" in err and "Traceback" not in err
    assert not list(project.glob(".provetune/crash-*"))


# -- demo and doctor


WITHOUT_TORCH = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] == "torch" else self.finder.find_spec(name, path, target)

    def find_distributions(self, *which):
        found = self.finder.find_distributions(*which) if hasattr(self.finder, "find_distributions") else []
        return (one for one in found if one.name != "torch")

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from provetune.cli import main
sys.exit(main(sys.argv[1:]))
"""


def without_torch(folder: Path, *arguments: str) -> Done:
    """The command in a Python that finds no torch, neither as a module nor as an installed package."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def test_without_torch_the_audit_works_and_a_run_says_what_to_install(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", ticket_rows(30))
    (tmp_path / "provetune.yaml").write_text(spec_text("rows.csv"))
    done = without_torch(tmp_path, "audit")
    assert done.code == 0 and "nothing blocks" in done.out and "PyTorch" not in done.err
    refused(without_torch(tmp_path, "run"), 2, "torch is not installed", "pip install 'provetune[train]'")


def test_the_demo_without_torch_shows_the_recording_and_says_so(tmp_path: Path) -> None:
    done = without_torch(tmp_path, "demo", "--folder", "here")
    made_at = json.loads((RECORDED / "evidence.json").read_text(encoding="utf-8"))["made_at"]
    assert done.code == 0 and f"This is a recording made on {made_at[:10]}" in done.out
    assert (tmp_path / "here" / "recorded" / "report.html").is_file()


def test_the_doctor_without_torch_ends_with_6(tmp_path: Path) -> None:
    done = without_torch(tmp_path, "doctor")
    assert done.code == 6 and "missing: torch" in done.out and "pip install 'provetune[train]'" in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_copied_and_its_absence_is_told(trained: Trained, tmp_path: Path) -> None:
    evidence, report = lay_out_recording(tmp_path / "demo", trained.folder / "runs" / "latest")
    assert report.is_file() and call("report", "--verify", evidence).code == 0
    with pytest.raises(EvidenceError, match=r"evidence\.json and report\.html"):
        lay_out_recording(tmp_path / "other", tmp_path)


def test_the_demo_project_is_laid_out_once(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "demo")
    assert load_spec(folder / "provetune.yaml").base.model == "starter" and not (folder / RECORDED.name).exists()
    assert (folder / "tickets.csv").read_bytes() == (EXAMPLE / "tickets.csv").read_bytes()
    (folder / "provetune.yaml").write_text("mine")
    assert (lay_out(folder) / "provetune.yaml").read_text() == "mine"
    (folder / "provetune.yaml").unlink()
    assert load_spec(lay_out(folder) / "provetune.yaml").name == "support-tickets"
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="found other files"):
        lay_out(tmp_path)


def test_a_damaged_starter_is_seen(tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER, tmp_path / "starter")
    assert starter_state(folder).startswith("ok")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    weights.write_bytes(whole[:-10])
    assert starter_state(folder).startswith("damaged")
    weights.write_bytes(whole)
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.safetensors\n")
    assert "SHA-256" in starter_state(folder)
    weights.unlink()
    assert starter_state(folder).startswith("missing")


# -- progress


def test_progress_says_a_line_per_tenth_with_the_time_left() -> None:
    clock, said = [0.0], list[str]()
    lines = Lines(said.append, lambda: clock[0])
    for done in range(0, 201):
        lines("steps", done, 200)
        clock[0] += 1.0
    assert len(said) == 10 and said[0] == "steps: 10 % (20 of 200), about 3.0 min left" and said[-1] == "steps: 100 % (200 of 200)"


def test_quick_and_continued_work() -> None:
    clock, said = [0.0], list[str]()
    lines = Lines(said.append, lambda: clock[0])
    for done in range(1, 101):
        lines("quick", done, 100)
        clock[0] += 0.001
    lines("audit", 0, 1)
    lines("audit", 1, 1)
    lines("continued", 150, 200)  # from a checkpoint: what was done before says nothing about the speed
    clock[0] += 10.0
    lines("continued", 160, 200)
    assert said == ["quick: 100 % (100 of 100)", "audit: done", "continued: 80 % (160 of 200), about 40.0 s left"]


def test_letters_that_the_terminal_lacks_are_written_as_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "ä漢.csv").write_text("text,label\n" + "hello there,a\ngood bye,b\n" * 6, encoding="utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "provetune", "-C", str(tmp_path), "init", str(tmp_path / "ä漢.csv")]
    done = subprocess.run(command, env=plain, capture_output=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert rb"\xe4\u6f22.csv" in done.stdout
