"""The plan as a whole: methods, settings with reasons, time, money, and when nothing can be trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.errors import DataError, HardwareTooSmall
from provetune.planning import Hardware, ModelShape, PlanRequest, plan
from provetune.planning.price import offers, training_cost
from provetune.planning.time import flops_per_token, training_hours
from provetune.pricing import PRICES
from provetune.records.candidate import ModelRef, Plan
from provetune.spec import BudgetSpec, TrainSpec

LAPTOP = Hardware("two cores", 8.0, "cpu", 5e10)
A100 = Hardware("A100", 79.1, "gpu", 2.5e14)
TINY = ModelShape(256, 6, 4, 4, 64, 704, 3, 8192, True)
LLAMA_2_7B = ModelShape(4096, 32, 32, 32, 128, 11008, 3, 32000, False)


def _model(parameters: int, tokens: int = 1024) -> ModelRef:
    return ModelRef(name="m", revision="r", parameters=parameters, context_length=tokens, weights_sha256="0", template="0")


SMALL = PlanRequest(_model(6_921_000), TINY, TrainSpec(), BudgetSpec(), [60] * 2000, 400, LAPTOP)
LARGE = replace(SMALL, model=_model(6_738_000_000, 4096), shape=LLAMA_2_7B, row_lengths=[500] * 3000, hardware=A100)


def test_small_model_on_a_laptop() -> None:
    found = plan(SMALL)
    assert set(found.chosen) == {"lora", "full"} and {o.fits for o in found.options} == {"fits"}
    assert found.tokens_per_epoch == 120_000
    assert {o.cost_usd.value for o in found.options} == {0.0}
    assert found.prices_as_of == "own hardware: no rental cost"
    assert found.smallest_provable_gain == pytest.approx(0.062, abs=0.002)  # 2.8 sqrt(.2 / 400)
    assert Plan.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("request_", "method", "rate", "epochs", "batch"),
    [
        (SMALL, "lora", 3e-3, 12, 32),
        (SMALL, "full", 1e-3, 12, 32),
        (replace(SMALL, row_lengths=[9] * 999), "full", 1e-3, 12, 16),
        (replace(SMALL, row_lengths=[9] * 10_000), "full", 1e-3, 6, 32),
        (replace(SMALL, row_lengths=[9] * 60_000), "lora", 3e-3, 3, 32),
        (LARGE, "lora", 2e-4, 2, 16),
        (replace(LARGE, row_lengths=[9] * 500), "lora", 2e-4, 5, 16),
        (replace(LARGE, row_lengths=[9] * 90_000), "lora", 2e-4, 1, 16),
    ],
)
def test_settings_follow_the_rules(request_: PlanRequest, method: str, rate: float, epochs: int, batch: int) -> None:
    values = plan(request_).hyperparameters[method]
    assert (values["learning_rate"], values["epochs"], values["batch_size"]) == (rate, epochs, batch)


def test_every_setting_has_a_reason() -> None:
    found = plan(SMALL)
    for method, values in found.hyperparameters.items():
        assert all(found.why[f"{method}.{key}"] for key in values)
        assert found.why[f"{method}.chosen"].startswith("fits the memory")
    assert found.why["lora.learning_rate"] == "rule: LoRA default for models under 100M parameters (measured with the starter model)"


def test_the_users_own_settings_win() -> None:
    train = TrainSpec.model_validate({"method": "lora", "epochs": 1, "learning_rate": 0.5, "max_length": 50, "lora": {"r": 4}})
    found = plan(replace(SMALL, train=train, row_lengths=[40] * 10 + [51]))
    values = found.hyperparameters["lora"]
    assert (found.chosen, values["epochs"], values["learning_rate"], values["r"], values["max_length"]) == (("lora",), 1, 0.5, 4, 50)
    assert found.tokens_per_epoch == 400
    assert {found.why[f"lora.{key}"] for key in ("epochs", "r", "max_length")} == {"set in the project file"}
    assert found.why["lora.alpha"] == "default of the project file"


def test_full_tuning_of_7b_does_not_fit_one_card_but_lora_does() -> None:
    found = plan(LARGE)
    by_method = {option.method: option for option in found.options}
    assert found.chosen == ("lora",)
    # 16 bytes for each of 6.738 B parameters are 100 GiB before anything else
    assert by_method["full"].fits == "does not fit" and (by_method["full"].memory_gib.value or 0) > 100
    assert by_method["lora"].trainable_parameters == 39_976_960
    with pytest.raises(HardwareTooSmall, match="full: needs about"):
        plan(replace(LARGE, train=TrainSpec(method="full")))


def test_time_is_that_of_the_published_run() -> None:
    # Mistral-class 7B, 3,000 conversations of 1,500 tokens, 3 epochs, LoRA on one A100 (312e12 dense bf16): 1.2 to 2.5 h
    flops = 3000 * 1500 * 3 * flops_per_token(LLAMA_2_7B, "lora", row_tokens=1500)
    hours = training_hours(flops, 312e12)
    assert hours.low is not None and hours.high is not None and hours.low < 1.2 < hours.high
    assert hours.value == pytest.approx(flops / (0.4 * 312e12) / 3600)


def test_operations_per_token() -> None:
    weights = 6_738_415_616 - 32000 * 4096 - 65 * 4096  # without embedding and norms
    assert flops_per_token(LLAMA_2_7B, "full", row_tokens=0) == 6 * weights
    assert flops_per_token(LLAMA_2_7B, "lora", row_tokens=0) == 4 * weights
    with_attention = flops_per_token(LLAMA_2_7B, "lora", row_tokens=2048)
    assert with_attention - 4 * weights == 3 * 4 * 32 * 4096 * 2048 / 2


def test_unmeasured_speed_gives_unknown_hours_and_money() -> None:
    found = plan(replace(LARGE, hardware=replace(A100, flops_per_s=None), budget=BudgetSpec(max_hours=0.001, max_usd=0.001)))
    option = found.options[0]
    assert option.duration_h.value is None and option.duration_h.method.startswith("unknown")
    assert option.cost_usd.value is None and found.chosen == ("lora",)
    assert any("was not measured" in line for line in found.assumptions)


def test_assumptions_are_sentences() -> None:
    assert all(len(line) > 20 for line in plan(LARGE).assumptions)


def test_money_on_a_rented_card() -> None:
    assert {price.gpu.split()[0] for price in offers(A100)} == {"A100", "H100", "GH200"}
    cost = training_cost(training_hours(0.4 * 2.5e14 * 3600, 2.5e14), offers(A100))
    assert cost.low == pytest.approx(1.19 * 2 / 3)
    assert cost.high == pytest.approx(10.9791 * 2)
    assert cost.value is not None and 1.19 < cost.value < 10.9791
    assert training_cost(training_hours(1e15, 1e14), offers(A100, [])).value is None
    assert offers(Hardware("H200", 139.0, "gpu", None), PRICES)[0].gpu == "H200"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(SMALL, hardware=replace(LAPTOP, memory_gib=0.3)), "lora: needs about"),
        (replace(SMALL, budget=BudgetSpec(max_hours=1e-5)), "one epoch takes at least"),
        (replace(LARGE, budget=BudgetSpec(max_usd=0.01)), "one epoch costs at least"),
    ],
)
def test_nothing_to_train_ends_with_exit_code_6(changed: PlanRequest, said: str) -> None:
    with pytest.raises(HardwareTooSmall, match=said) as caught:
        plan(changed)
    assert caught.value.exit_code == 6


def test_a_budget_for_one_method_takes_the_quicker_one() -> None:
    hours = {o.method: o.duration_h.value or 0.0 for o in plan(SMALL).options}
    found = plan(replace(SMALL, budget=BudgetSpec(max_hours=hours["lora"] + hours["full"] / 2)))
    assert found.chosen == ("lora",) and found.why["full.chosen"].startswith("left out: together")
    assert plan(replace(SMALL, budget=BudgetSpec(max_hours=sum(hours.values()) * 1.01))).chosen == ("lora", "full")


def test_rows_beyond_the_models_length_are_left_out_and_said() -> None:
    found = plan(replace(SMALL, row_lengths=[10] * 99 + [5000]))
    assert found.tokens_per_epoch == 990 and found.hyperparameters["lora"]["max_length"] == 1024
    assert any(line.startswith("1 training rows longer") for line in found.assumptions)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(DataError, match="no training rows"):
        plan(replace(SMALL, row_lengths=[]))
    with pytest.raises(DataError, match="at most 5 tokens"):
        plan(replace(SMALL, train=TrainSpec(max_length=5)))
    with pytest.raises(DataError, match="no training row has a rejected answer"):
        plan(replace(SMALL, train=TrainSpec(method="dpo")))


def test_four_bits_are_tried_by_themselves_only_where_lora_does_not_fit() -> None:
    # of a base whose weights are nearly all in linear layers 0.52 of 4 bytes stay
    shape = replace(SMALL.shape, hidden=2048, layers=20, mlp=8192, heads=16, kv_heads=16, head_dim=128)
    parameters = shape.linear_parameters + shape.head_parameters
    large = replace(SMALL, shape=shape, model=SMALL.model.model_copy(update={"parameters": parameters}))
    roomy = replace(large, hardware=replace(SMALL.hardware, memory_gib=100.0))
    assert [option.method for option in plan(roomy).options] == ["lora", "full"]
    found = plan(replace(large, hardware=replace(SMALL.hardware, memory_gib=9.0)))
    assert found.chosen == ("qlora",) and found.why["lora.chosen"].startswith("left out: needs about")
    lora, _, qlora = found.options
    assert lora.memory_gib.value is not None and qlora.memory_gib.value is not None
    saved = 1.06 * 1.12 * (4 + 2 - 0.5159) * shape.linear_parameters / 2**30  # 32 bits and their 16-bit cast
    assert lora.memory_gib.value - qlora.memory_gib.value == pytest.approx(
        saved, rel=0.07
    )  # the cast takes memory, and saves some of what is kept


def test_settings_beyond_the_usual_are_planned_only_where_they_are_set() -> None:
    usual = plan(replace(SMALL, train=TrainSpec(method="lora"))).hyperparameters["lora"]
    assert set(usual) == {"learning_rate", "epochs", "batch_size", "max_length", "patience", "r", "alpha", "dropout", "targets"}
    lora = {"variants": "dora", "plus": 16, "layers": "0-1"}
    spec = TrainSpec.model_validate({"method": "lora", "neftune": 5, "optimizer": "adafactor", "lora": lora})
    found = plan(replace(SMALL, train=spec))
    more = {"variants": "dora", "plus": 16.0, "layers": "0-1", "neftune": 5.0, "optimizer": "adafactor"}
    assert found.hyperparameters["lora"] == {**usual, **more}
    assert found.why["lora.neftune"] == "set in the project file"


def test_pairs_of_answers_are_counted_for_preference_methods() -> None:
    found = plan(replace(SMALL, train=TrainSpec(method="dpo"), pairs=40))
    assert found.hyperparameters["dpo"]["beta"] == 0.1 and "40 rows" in found.why["dpo.epochs"]


def test_more_rows_never_take_less_time_or_memory() -> None:
    train = TrainSpec(epochs=2, batch_size=8)
    plans = [plan(replace(SMALL, train=train, row_lengths=[50] * rows)) for rows in (1, 10, 100, 1000)]
    for method in (0, 1):
        hours = [p.options[method].duration_h.value or 0.0 for p in plans]
        memory = [p.options[method].memory_gib.value or 0.0 for p in plans]
        assert hours == sorted(hours) and memory == sorted(memory)
