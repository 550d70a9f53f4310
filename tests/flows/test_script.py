"""The way out: a script of transformers and PEFT alone repeats the training that provetune made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from provetune.models.tokenizer import FolderTokenizer
from provetune.records.candidate import TrainingRun
from tests.flows.conftest import Trained, call
from tests.models import relative_error


def training_of(project: Path) -> TrainingRun:
    (file,) = (project / "runs" / "latest" / "records").glob("tuning-*.json")
    return TrainingRun.from_json(file.read_text())


@pytest.mark.slow
def test_the_script_repeats_the_run(trained: Trained, tmp_path: Path) -> None:
    assert call("-C", trained.folder, "run", "--set", "train.epochs=4", "--set", "train.early_stop.patience=0").code in (0, 3, 4)
    done = call("-C", trained.folder, "export", "script", "--out", tmp_path / "out", "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    script = Path(document["script"])
    assert {item.name for item in script.parent.iterdir()} == {"train.py", "train.jsonl"}
    text = script.read_text()
    assert "provetune" not in text, "nothing of ours is needed"
    compile(text, str(script), "exec")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    training = training_of(trained.folder)
    losses = json.loads((script.parent / "losses.json").read_text())
    wanted = [[point.step, point.loss] for point in training.losses[: training.best_step]]
    assert [step for step, _ in losses] == [step for step, _ in wanted] and len(wanted) > 3
    assert [loss for _, loss in losses] == pytest.approx([loss for _, loss in wanted], rel=1e-3)
    theirs = load_file(script.parent / "weights" / "adapter_model.safetensors")
    ours = load_file(trained.folder / training.weights_folder / "adapter_model.safetensors")
    assert theirs.keys() == ours.keys()
    moved = {name: value for name, value in ours.items() if "lora_B" in name}
    assert max(relative_error(theirs[name], value) for name, value in moved.items()) < 0.1, "AdamW makes large steps of small differences"
    assert all(torch.count_nonzero(value) for value in moved.values())


def test_the_script_is_written_once_and_only_for_a_run_that_has_one(trained: Trained, tmp_path: Path) -> None:
    assert call("-C", trained.folder, "export", "script", "--out", tmp_path / "out").code == 0
    again = call("-C", trained.folder, "export", "script", "--out", tmp_path / "out")
    assert again.code == 2 and "is there already" in again.err
    assert call("-C", trained.folder, "export", "script", "--out", tmp_path / "out", "--force").code == 0
    data = trained.folder / "tickets.csv"
    data.write_text(data.read_text().replace("again", "twice"))
    changed = call("-C", trained.folder, "export", "script", "--out", tmp_path / "other")
    assert changed.code == 2 and "trained on other data than there are now; run `provetune run` again" in changed.err
    (trained.folder / "runs" / "latest" / "evidence.json").unlink()
    none = call("-C", trained.folder, "export", "script", "--out", tmp_path / "other")
    assert none.code == 2 and "`provetune run` makes it" in none.err and not (tmp_path / "other").exists()


def test_what_a_plain_script_cannot_repeat_is_named(trained: Trained, tmp_path: Path) -> None:
    (file,) = (trained.folder / "runs" / "latest" / "records").glob("tuning-*.json")
    training = training_of(trained.folder)
    changed = training.model_copy(update={"hyperparameters": {**training.hyperparameters, "neftune": 5.0}, "scale": 0.5})
    file.write_text(changed.to_json())
    done = call("-C", trained.folder, "export", "script", "--out", tmp_path / "out")
    assert done.code == 2 and "found neftune 5.0, a scaled adapter: a plain script cannot repeat it" in done.err


def test_rows_that_spell_a_special_token_are_counted(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderTokenizer, "spells_special", lambda self, messages: "again" in messages[0].content)
    done = call("-C", trained.folder, "export", "script", "--out", tmp_path / "out")
    assert done.code == 0 and "rows spell a special token, which is plain text here" in done.err


def test_a_format_without_a_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    done = call("export", tmp_path / "rows.jsonl", "--to", "chat")
    assert done.code == 2 and "found no --out FILE" in done.err
