"""A plan corrected by what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from provetune.errors import HardwareTooSmall
from provetune.planning.measured import corrected
from provetune.records.candidate import ModelRef, Plan, PlanOption, TrainingRun
from provetune.records.probe import Probe, ProbeStep
from provetune.stats.estimate import Estimate

MODEL = ModelRef(name="m", revision="main", parameters=10, context_length=64, weights_sha256="w", template="t")
VALUES: dict[str, float | int | str] = {"epochs": 3, "batch_size": 8, "max_length": 64}


def made_plan(**changes: Any) -> Plan:
    guess = Estimate(2.0, 1.0, 4.0, 0, 0.9, "guess")
    option = PlanOption(method="lora", fits="fits", memory_gib=guess, duration_h=guess, cost_usd=guess, trainable_parameters=1)
    content: dict[str, Any] = {
        "model": MODEL,
        "hardware": "here",
        "memory_available_gib": 4.0,
        "tokens_per_epoch": 36_000,
        "options": (option, option.model_copy(update={"method": "full"})),
        "chosen": ("lora", "full"),
        "hyperparameters": {"lora": VALUES, "full": VALUES},
        "why": {},
        "assumptions": (),
        "prices_as_of": "today",
    }
    return Plan(**{**content, **changes})


def made_probe(peak: float = 1.0, **changes: Any) -> Probe:
    """Five steps; the worst takes 4 s for 1,000 tokens, the usual ones 1 s for 100."""
    steps = (
        ProbeStep(rows=8, tokens=100, packs=1, largest_pack=100),
        ProbeStep(rows=8, tokens=1000, packs=2, largest_pack=600, seconds=4.0, cpu_seconds=4.0),
        *[ProbeStep(rows=8, tokens=100, packs=1, largest_pack=100, seconds=1.0, cpu_seconds=0.5)] * 2,
        ProbeStep(rows=8, tokens=100, packs=1, largest_pack=100),
    )
    content = {"method": "lora", "model": MODEL, "machine": "here", "values": VALUES, "steps": steps, "idle_gib": 0.5, "peak_gib": peak}
    return Probe(**{**content, "wall_seconds": 9.0, **changes})


def made_run(**changes: Any) -> TrainingRun:
    content: dict[str, Any] = {
        "method": "full", "model": MODEL, "hyperparameters": VALUES, "seed": 1, "losses": (), "validation": (), "best_step": 1,
        "total_steps": 1, "stopped_because": "", "tokens_seen": 100, "labelled_tokens_seen": 10, "tokens_per_s": 50.0, "duration_s": 2.0,
        "peak_memory_gib": 3.0, "resumed": 0, "weights_folder": "", "weights_sha256": "", "rows_used": 1, "rows_left_out": 0,
    }  # fmt: skip
    return TrainingRun(**{**content, **changes})


def test_usual_steps_give_the_speed_and_the_machine_the_memory() -> None:
    probe = made_probe()
    assert probe.tokens_per_s == 100.0 and probe.tokens_per_cpu_s == 200.0
    found = corrected(made_plan(), [probe], [])
    lora, full = found.options
    assert lora.duration_h.value == pytest.approx(36_000 * 3 / 100 / 3600)
    assert lora.memory_gib.value == 1.0 and lora.fits == "fits"
    # two dollars for two hours were planned: a dollar an hour
    assert lora.cost_usd.value == pytest.approx(lora.duration_h.value)
    assert full == made_plan().options[1] and "a probe of 5 optimizer steps" in found.why["lora.measured"]
    assert lora.duration_h.high is not None and lora.duration_h.low is not None
    assert lora.duration_h.high / lora.duration_h.low < 2, "narrower than the guess, which spans a factor of 4"


def test_what_was_measured_of_something_else_changes_nothing() -> None:
    other = MODEL.model_copy(update={"weights_sha256": "other"})
    passed_over = [made_probe(values={**VALUES, "batch_size": 4}), made_probe(model=other)]
    assert corrected(made_plan(), passed_over, [made_run(model=other), made_run(tokens_per_s=0.0)]) == made_plan()


def test_an_earlier_training_gives_the_hours_and_of_the_same_size_the_memory() -> None:
    same, smaller = made_run(), made_run(hyperparameters={**VALUES, "max_length": 32})
    full = corrected(made_plan(), [], [same]).options[1]
    assert full.duration_h.value == pytest.approx(0.6) and full.memory_gib.value == 3.0
    full = corrected(made_plan(), [], [same, smaller]).options[1]
    assert full.duration_h.value == pytest.approx(0.6) and full.memory_gib.value == 2.0, "the newest counts, and its peak says nothing"


def test_a_method_that_does_not_fit_falls_out_and_with_the_last_one_the_plan() -> None:
    found = corrected(made_plan(), [made_probe(peak=5.0)], [])
    assert found.options[0].fits == "does not fit" and found.chosen == ("full",)
    assert corrected(made_plan(), [made_probe(peak=3.7)], []).options[0].fits == "tight"
    with pytest.raises(HardwareTooSmall, match=r"lora: 5\.0 GiB"):
        corrected(made_plan(chosen=("lora",)), [made_probe(peak=5.0)], [])
