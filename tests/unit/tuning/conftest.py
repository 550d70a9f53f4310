"""A small training of the tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.scoring import Yardstick
from provetune.tuning import TuneRequest
from tests.unit.records_by_hand import LABELS, candidate_of, examples_of


@pytest.fixture
def tune_request(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, tmp_path: Path) -> TuneRequest:
    """Twelve rows, one epoch; LoRA on two matrices of each layer."""
    template = candidate_of("tuned-lora", "adapter")
    return TuneRequest(
        method="lora",
        base_folder=tiny_folder,
        model=model_ref(tiny_folder, "tiny", "main", tiny_tokenizer),
        tokenizer=tiny_tokenizer,
        template=template.model_copy(update={"generation": template.generation.model_copy(update={"max_new_tokens": 4})}),
        train=examples_of([LABELS[k % 3] for k in range(12)]),
        validation=examples_of([LABELS[k % 3] for k in range(12, 15)]),
        yardstick=Yardstick("classify", LABELS, "validation"),
        metric="accuracy",
        hyperparameters={
            "learning_rate": 0.005,
            "epochs": 1,
            "batch_size": 4,
            "max_length": 128,
            "r": 2,
            "alpha": 4,
            "dropout": 0.0,
            "targets": "q_proj,v_proj",
        },
        seed=1,
        checkpoints=tmp_path / "checkpoints",
        out=tmp_path / "weights",
        max_seconds=600.0,
        environment={"python": "3"},
        progress=lambda *_: None,
    )
