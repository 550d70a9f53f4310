"""The losses of full tuning, LoRA and QLoRA on a small fixed job: those committed, and those of transformers' Trainer on the same batches.

`python -m tests.golden.test_trajectories` writes the committed ones anew; do so only with a reason, and give it in the log.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer as LibraryTrainer
from transformers import TrainingArguments

from provetune.chat import TokenRow
from provetune.engine.packing import plan_epoch
from provetune.models.transformers import load_model
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS, Hyperparameters
from provetune.tuning.state import Hooks, LoopSettings, ValidationPoint
from tests.models import byte_tokenizer, random_rows, save_folder, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
COMMITTED = Path(__file__).with_name("trajectories.json")
LIKE = ("full", "lora", "qlora")
RATES = {"full": 0.003, "lora": 0.02, "qlora": 0.02}
LORA: Hyperparameters = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}
ROWS = random_rows([9, 14, 6, 11, 17, 8, 12, 5, 10, 13, 7, 16])
EPOCHS, ROWS_PER_STEP, SEED = 3, 4, 5


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """accelerate keeps its precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("golden") / "tiny", tiny_llama(), byte_tokenizer())


def start(method: str, base: Path) -> Any:
    model = load_model(base, quantized=method == "qlora")
    torch.manual_seed(1)
    return METHODS[method](model, LORA)


def ours(method: str, base: Path, folder: Path) -> tuple[list[float], Any]:
    """(losses, model) of the product's loop at a constant learning rate."""
    settings = LoopSettings(RATES[method], EPOCHS, ROWS_PER_STEP, max_tokens=40, warmup_share=0, decay_share=0, seed=SEED)
    hooks = Hooks(lambda _, step: ValidationPoint(step, 0.0, float(step)))
    trainer = Trainer(start(method, base), ROWS, settings, CheckpointFolder(folder), hooks)
    return [loss for _, loss, _ in trainer.run().losses], trainer.model


def batch(rows: list[TokenRow]) -> dict[str, torch.Tensor]:
    ids = [torch.from_numpy(row.ids) for row in rows]
    labels = [torch.where(torch.from_numpy(row.labelled), one, -100) for row, one in zip(rows, ids, strict=True)]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
        "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
    }


def theirs(method: str, base: Path, folder: Path) -> list[float]:
    """Losses of transformers' Trainer on the same rows in the same order."""
    order = [row for epoch in range(EPOCHS) for numbers in plan_epoch(len(ROWS), ROWS_PER_STEP, SEED, epoch) for row in numbers]
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=ROWS_PER_STEP,
        num_train_epochs=1,
        learning_rate=RATES[method],
        lr_scheduler_type="constant",
        optim="adamw_torch",
        adam_beta2=0.99,
        weight_decay=0.0,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        logging_steps=1,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    library = LibraryTrainer(model=start(method, base), args=arguments, train_dataset=[ROWS[row] for row in order], data_collator=batch)
    library.train()
    return [entry["loss"] for entry in library.state.log_history if "loss" in entry]


@pytest.mark.parametrize("method", LIKE)
def test_the_committed_losses(method: str, base: Path, tmp_path: Path) -> None:
    committed = json.loads(COMMITTED.read_text())
    found, _ = ours(method, base, tmp_path)
    assert found == pytest.approx(committed["losses"][method], rel=2e-3), f"committed under {committed['environment']}"
    assert found[-1] < 0.8 * found[0]


@pytest.mark.parametrize("method", LIKE)
def test_the_losses_of_the_librarys_trainer(method: str, base: Path, tmp_path: Path) -> None:
    wanted = theirs(method, base, tmp_path / "library")
    AcceleratorState._reset_state(reset_partial_state=True)
    found, _ = ours(method, base, tmp_path / "ours")
    assert len(wanted) == EPOCHS * len(ROWS) // ROWS_PER_STEP and found == pytest.approx(wanted, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("method", LIKE)
def test_every_trained_weight_moves_and_no_other(method: str, base: Path, tmp_path: Path) -> None:
    before = {name: p.detach().clone() for name, p in start(method, base).named_parameters()}
    _, model = ours(method, base, tmp_path)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if method == "full" or "lora_" in name}


def main() -> None:
    """Write the committed losses anew."""
    names = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")
    with tempfile.TemporaryDirectory() as place:
        base = save_folder(Path(place) / "tiny", tiny_llama(), byte_tokenizer())
        losses = {}
        for method in LIKE:
            losses[method] = [round(loss, 6) for loss in ours(method, base, Path(place) / method)[0]]
    environment = {name: importlib.metadata.version(name) for name in names}
    COMMITTED.write_text(json.dumps({"environment": environment, "losses": losses}, indent=1) + "\n")


if __name__ == "__main__":
    main()
