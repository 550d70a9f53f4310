"""A way out: one plain script that repeats a run's training with transformers and PEFT, and the rows that it reads."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from provetune.chat import tools_of
from provetune.errors import FolderError, Notice, SpecError
from provetune.formats.chat import message_object, tool_objects
from provetune.models.locate import STARTER
from provetune.records.candidate import TrainingRun
from provetune.records.data import Example, Split
from provetune.store import records_in, write_atomic
from provetune.workflow.project import Project
from provetune.workflow.verify import read_evidence

USUAL = {"optimizer": "adamw", "plus": 1.0, "neftune": 0.0, "layers": "all"}
"""Settings that the script knows at this value only."""
VARIANTS = {"dora": "use_dora", "rslora": "use_rslora"}


@dataclass(frozen=True)
class ScriptExported:
    """What was written: the script, how many rows beside it, and by which method it trains."""

    script: Path
    rows: int
    method: str


def export_script(project: Project, out: Path, *, force: bool = False) -> ScriptExported:
    """Write `train.py` and `train.jsonl` into `out`, for the champion of the newest run that reached a decision.

    Raises FolderError where there is no such run or the script is there already, SpecError where a plain script cannot repeat it.
    """
    script = out / "train.py"
    if script.exists() and not force:
        raise FolderError(f"{script}: is there already; name another folder with --out, or write it anew with --force")
    run = project.store.decided_run()
    training, parts = _champion(run)
    if parts.dataset != project.dataset.fingerprint:
        raise SpecError(f"{run}: trained on other data than there are now; run `provetune run` again")
    rows = {example.id: example for example in project.examples}
    train = [rows[name] for name in parts.train_ids]
    _refuse_unusual(training, len(train))
    text = files("provetune.workflow").joinpath("training_script.txt").read_text(encoding="utf-8")
    spelled = sum(project.tokenizer.spells_special(example.messages) for example in train)
    if spelled:
        said = f"{spelled:,} rows spell a special token, which is plain text here; the script's template takes it for the real one"
        warnings.warn(f"{said}, so its losses will differ", Notice, stacklevel=2)
    write_atomic(out / "train.jsonl", "".join(json.dumps(_row(example), ensure_ascii=False) + "\n" for example in train))
    write_atomic(script, text.replace("@@SETTINGS@@", _settings(project, training)))
    return ScriptExported(script, len(train), training.method)


def _champion(run: Path) -> tuple[TrainingRun, Split]:
    """The training that the verdict is about, and the split that it was judged on."""
    evidence = read_evidence(run / "evidence.json")
    champion = next(e.candidate for e in evidence.evaluations if e.candidate.name == evidence.champion)
    for training in records_in(run, TrainingRun):
        for parts in records_in(run, Split):
            if (training.weights_sha256, parts.fingerprint) == (champion.weights_sha256, evidence.fixed_before_training["split"]):
                return training, parts
    raise SpecError(f"{run}: found no training of {champion.name}, which the verdict is about; run `provetune run` again")


def _refuse_unusual(training: TrainingRun, rows: int) -> None:
    values = training.hyperparameters
    unusual = [f"{key} {values[key]}" for key, usual in USUAL.items() if values.get(key, usual) != usual]
    unusual += [name for name in str(values.get("variants", "")).split(",") if name and name not in VARIANTS]
    unusual += ["texts beside the rows"] if training.beside else []
    unusual += ["new tokens"] if "new_tokens" in values else []
    unusual += ["a start from earlier weights"] if training.start_sha256 else []
    unusual += ["rewritten targets"] if training.rewritten else []
    unusual += ["a scaled adapter"] if training.scale != 1 else []
    if training.method not in ("full", "lora"):
        unusual.append(f"the method {training.method}")
    if training.rows_used + training.rows_left_out != rows:
        unusual.append(f"{training.rows_used + training.rows_left_out:,} training rows where the split has {rows:,}")
    if unusual:
        raise SpecError(f"found {', '.join(unusual)}: a plain script cannot repeat it; wanted full or LoRA tuning on the rows of the split")


def _row(example: Example) -> dict[str, Any]:
    tools = tools_of(example.messages)
    return {"messages": [message_object(message) for message in example.messages], **({"tools": tool_objects(tools)} if tools else {})}


def _settings(project: Project, training: TrainingRun) -> str:
    """The constants at the head of the script."""
    values, local = training.hyperparameters, project.base_folder == STARTER or (project.folder / project.spec.base.model).exists()
    lora: dict[str, Any] | None = None
    if training.method == "lora":
        targets = str(values["targets"])
        lora = {"r": values["r"], "lora_alpha": values["alpha"], "lora_dropout": values["dropout"]}
        lora["target_modules"] = targets if targets == "all-linear" else [name.strip() for name in targets.split(",")]
        lora |= {VARIANTS[name]: True for name in str(values.get("variants", "")).split(",") if name}
    constants = {
        "BASE": str(project.base_folder) if local else project.spec.base.model,
        "REVISION": "main" if local else project.spec.base.revision,
        "STOPS": sorted(project.tokenizer.stop_ids),
        "MAX_LENGTH": min(int(values["max_length"]), project.tokenizer.context_length),
        "EPOCHS": values["epochs"],
        "ROWS_PER_STEP": values["batch_size"],
        "LEARNING_RATE": values["learning_rate"],
        "WEIGHT_DECAY": values.get("weight_decay", 0.0),
        "BEST_STEP": training.best_step,
        "SEED": training.seed,
        "BF16": training.measured_choices.get("precision") == "bf16",
        "LORA": lora,
    }
    return "\n".join(f"{name} = {value!r}" for name, value in constants.items())
