"""`audit --curve` and an augmented run as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.records.augmentation import AugmentationReport
from provetune.records.curve import LearningCurve
from provetune.workflow.verify import verify
from tests.flows.conftest import call, write_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    return write_project(tmp_path_factory.mktemp("curve") / "project", base_folder, rows=300)


def test_the_curve_stands_below_the_audit(folder: Path) -> None:
    done = call("-C", folder, "audit", "--curve", "--quick", "--noise")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("learning curve"))
    assert lines[head - 1].startswith("300 rows") and "10 % wrong targets  " in lines[head] and "20 % wrong targets" in lines[head]
    assert sum(" rows " in line and "]" in line for line in lines[head + 1 : head + 7]) >= 4, "one line per size, with its interval"
    text = "\n".join(lines[head:])
    assert text.count("wrong targets") >= 4 and "not by training the base model" in text and lines[-1].startswith("Next: ")
    again = call("-C", folder, "audit", "--curve", "--quick", "--noise", "--format", "json")
    curve = LearningCurve.from_json(again.out)
    assert curve.sentence in text and all(arm.sentence in text for arm in curve.noisy) and curve.proxy
    assert not (folder / "ledger.jsonl").exists()


def test_without_the_option_the_audit_trains_nothing(folder: Path) -> None:
    done = call("-C", folder, "audit", "--format", "json")
    assert json.loads(done.out)["schema"].startswith("provetune.audit_report/")


@pytest.mark.parametrize("option", ["--quick", "--noise"])
def test_options_of_the_curve_alone_are_a_mistake(folder: Path, option: str) -> None:
    done = call("-C", folder, "audit", option)
    assert done.code == 2 and "--curve" in done.err


def test_a_blocked_audit_measures_no_curve(tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "project", base_folder, rows=120, more="audit: {fail_on: {min_examples: 500}}\n")
    done = call("-C", folder, "audit", "--curve", "--quick", "--format", "json")
    assert done.code == 5 and json.loads(done.out)["schema"].startswith("provetune.audit_report/")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_augmented_run_has_its_control_and_says_what_it_brought(tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "project", base_folder, rows=240, more="augment: {kinds: [edit], share: 0.4}\n")
    assert call("-C", folder, "audit", "--curve", "--quick").code == 0
    done = call("-C", folder, "run")
    assert done.code in (0, 3, 4), done.err
    run = folder / "runs" / "latest"
    evidence, _ = verify(run / "evidence.json")
    names = [e.candidate.name for e in evidence.evaluations if e.part == "validation"]
    assert {"tuned-lora", "tuned-lora-augmented"} <= set(names), "the arm without augmentation is always there"
    assert {"augmentation", "learning-curve", "tuning-lora", "tuning-lora-augmented"} <= set(evidence.records)
    (file,) = (run / "records").glob("augmentation-*.json")
    record = AugmentationReport.from_json(file.read_text())
    assert record.fingerprint == evidence.records["augmentation"] and 0 < record.kept <= record.made <= record.original_rows
    assert record.kept <= 0.4 * (record.kept + record.original_rows)
    assert {(c.candidate, c.baseline, c.metric) for c in record.comparisons} >= {("tuned-lora-augmented", "tuned-lora", "accuracy")}
    page = (run / "report.html").read_text()
    assert record.sentence[:40] in page and "Are there enough examples?" in page
    assert call("-C", folder, "run").code == done.code, "nothing is trained or made again"
