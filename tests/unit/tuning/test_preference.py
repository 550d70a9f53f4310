"""DPO and ORPO: what TRL is handed, what its loss is by the papers' formulas, and that the wanted answer becomes likelier."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from provetune.chat import TokenRow
from provetune.engine.likelihood import row_nats
from provetune.errors import DataError
from provetune.models.transformers import load_model
from provetune.records.candidate import Method
from provetune.records.data import Message
from provetune.tuning import TuneRequest, tune
from provetune.tuning.methods import METHODS, Hyperparameters
from provetune.tuning.preference import Pair, train_on_pairs
from provetune.tuning.state import Hooks, LoopSettings, ValidationPoint
from tests.models import tiny_llama
from tests.unit.tuning.test_methods import settings_of_the_process  # noqa: F401

pytest.importorskip("trl")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
LORA: Hyperparameters = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}


def row(prompt: list[int], answer: list[int]) -> TokenRow:
    return TokenRow(np.array(prompt + answer), np.array([False] * len(prompt) + [True] * len(answer)))


PAIRS = [Pair(row([1, 4, 20 + k, 5], [40, 41, 2]), row([1, 4, 20 + k, 5], [60, 61, 62, 2])) for k in range(8)]


def nats(model: Any, side: str) -> list[float]:
    return row_nats(model, [getattr(pair, side) for pair in PAIRS])


def trained(method: str, folder: Path, epochs: int = 3) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = METHODS["lora"](tiny_llama(), LORA)
    settings = LoopSettings(learning_rate=0.01, epochs=epochs, rows_per_step=len(PAIRS), seed=1)

    def look(current: Any, step: int) -> ValidationPoint:
        return ValidationPoint(step, 1.0, float(step))

    before = (nats(model, "chosen"), nats(model, "rejected"))
    state = train_on_pairs(model, PAIRS, (method, 0.1, settings), folder, Hooks(look))
    return model, state, before


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_the_wanted_answer_becomes_likelier_than_the_other(method: str, tmp_path: Path) -> None:
    model, state, (chosen, rejected) = trained(method, tmp_path)
    gained = np.array(nats(model, "rejected")) - np.array(nats(model, "chosen")) - (np.array(rejected) - np.array(chosen))
    assert (gained > 0.5).all() and state.losses[-1][1] < state.losses[0][1]
    assert [point.step for point in state.validation] == [1, 2, 3] and state.tokens == 3 * sum(pair.tokens for pair in PAIRS)
    assert set(model.peft_config) == {"default"} and model.config.eos_token_id == 2 and model.generation_config.eos_token_id == 2


def test_the_first_losses_are_those_of_the_papers(tmp_path: Path) -> None:
    _, dpo, _ = trained("dpo", tmp_path / "dpo", epochs=1)
    assert dpo.losses[0][1] == pytest.approx(math.log(2), abs=1e-4)  # policy and reference are still the same
    _, orpo, (chosen, rejected) = trained("orpo", tmp_path / "orpo", epochs=1)
    wanted = []
    for pair, a, b in zip(PAIRS, chosen, rejected, strict=True):
        x, y = -a / pair.chosen.label_count, -b / pair.rejected.label_count  # mean log-likelihoods
        ratio = (x - y) - (math.log1p(-math.exp(x)) - math.log1p(-math.exp(y)))
        wanted.append(-x + 0.1 * math.log1p(math.exp(-ratio)))
    assert orpo.losses[0][1] == pytest.approx(np.mean(wanted), rel=2e-3)


def test_a_pair_is_cut_where_the_answers_begin() -> None:
    found = PAIRS[0].features()
    assert found == {"prompt_ids": [1, 4, 20, 5], "chosen_ids": [40, 41, 2], "rejected_ids": [60, 61, 62, 2]}


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_a_whole_training_writes_an_adapter_and_counts_rows_without_a_pair(method: Method, tune_request: TuneRequest) -> None:
    pairs = [e.model_copy(update={"rejected": (Message(role="assistant", content="no idea"),)}) for e in tune_request.train[:8]]
    values = {**tune_request.hyperparameters, "beta": 0.1, "patience": 0}
    request = replace(tune_request, method=method, hyperparameters=values, train=[*pairs, *tune_request.train[8:]])
    run = tune(request)
    assert (run.method, run.rows_used, run.rows_left_out, run.total_steps) == (method, 8, 4, 2)
    assert len(run.losses) == 2 and run.generalisation_gap is not None
    ids = torch.arange(6, 30)[None]
    with torch.no_grad():
        tuned, base = load_model(request.base_folder, request.out)(ids).logits, load_model(request.base_folder)(ids).logits
    assert not torch.allclose(tuned, base, atol=1e-4)


def test_rows_without_rejected_answers_are_refused(tune_request: TuneRequest) -> None:
    with pytest.raises(DataError, match="wanted pairs of answers"):
        tune(replace(tune_request, method="dpo"))
