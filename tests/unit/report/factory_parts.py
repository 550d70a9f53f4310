"""Hand-made records of the steps before the proof: model, plan, training, audit, split."""

from __future__ import annotations

from provetune.records.candidate import LossPoint, ModelRef, Plan, PlanOption, TrainingRun, ValidationScore
from provetune.records.data import AuditReport, Finding, Split, TokenProfile
from provetune.stats.estimate import Estimate

TEST_SHA = "9f" * 32
MODEL = ModelRef(
    name="starter",
    revision="1",
    parameters=6_912_000,
    context_length=1024,
    weights_sha256="ab" * 32,
    template="77ab12cd",
    licence="apache-2.0",
)


def run_of(method: str, steps: int = 1200) -> TrainingRun:
    """A falling loss curve with validation looks."""
    return TrainingRun.model_validate(
        {
            "method": method,
            "model": MODEL,
            "hyperparameters": {"learning_rate": 0.0004, "epochs": 4, "batch_size": 32} | ({"rank": 16} if method == "lora" else {}),
            "seed": 1,
            "losses": tuple(LossPoint(step=k, loss=3.2 / (1 + k / 60) + 0.05 * (k % 7), gradient_norm=1.0) for k in range(1, steps + 1)),
            "validation": tuple(
                ValidationScore(step=k, loss=0.35 + 2.2 / (1 + k / 80), score=0.85 - 0.5 / (1 + k / 90)) for k in range(100, steps + 1, 100)
            ),
            "best_step": 900,
            "total_steps": steps,
            "stopped_because": "no better validation loss in 3 looks",
            "tokens_seen": 2_400_000,
            "labelled_tokens_seen": 310_000,
            "tokens_per_s": 3120.0,
            "duration_s": 1450.0,
            "peak_memory_gib": 1.42,
            "resumed": 0,
            "weights_folder": "adapter" if method == "lora" else "weights",
            "weights_sha256": ("cd" if method == "lora" else "ef") * 32,
            "rows_used": 1000,
            "rows_left_out": 0,
            "measured_choices": {"micro_batch": 16, "bf16": True},
            "environment": {"torch": "2.15.0", "processor": "2 cores"},
        }
    )


def plan_of() -> Plan:
    """A plan of two methods."""
    hours, dollars = Estimate(0.4, 0.3, 0.6, 0, 0.9, "model"), Estimate(0.0, 0.0, 0.0, 0, 0.9, "table")
    options = tuple(
        PlanOption.model_validate(
            {
                "method": m,
                "fits": "fits",
                "memory_gib": Estimate(1.5, 1.2, 1.8, 0, 0.9, "model"),
                "duration_h": hours,
                "cost_usd": dollars,
                "trainable_parameters": p,
            }
        )
        for m, p in (("lora", 420_000), ("full", 6_912_000))
    )
    return Plan(
        model=MODEL,
        hardware="2 CPU cores, 8 GiB",
        memory_available_gib=6.2,
        tokens_per_epoch=620_000,
        options=options,
        chosen=("lora", "full"),
        hyperparameters={"lora": {"learning_rate": 0.0004}, "full": {"learning_rate": 0.0002}},
        why={"lora.learning_rate": "rule: LoRA default", "epochs": "about 10,000 examples", "method": "both fit, so both are tried"},
        assumptions=("no other program uses the processor",),
        prices_as_of="2026-11-01",
        smallest_provable_gain=0.021,
    )


def audit_of(labels: tuple[str, ...], message: str) -> AuditReport:
    """Three findings, one of each severity but blocker twice none."""
    return AuditReport(
        dataset="d1",
        count=13_083,
        task="classify",
        label_counts={label: 100 + k for k, label in enumerate(labels)},
        findings=(
            Finding(
                check="near_duplicates",
                severity="warning",
                message=message,
                count=212,
                example_ids=("a-1", "a-2"),
                observed=0.016,
                threshold=0.05,
                remedy="keep groups together",
            ),
            Finding(check="size", severity="info", message="enough rows for the margin", count=13_083),
        ),
        tokens=TokenProfile(
            tokenizer="starter", median=21, p95=48, longest=112, total=310_000, supervised_total=62_000, over_context=0, context_length=1024
        ),
        groups={},
    )


def split_of(test_ids: tuple[str, ...]) -> Split:
    """10,003 rows beside the test rows; three left out."""
    return Split(
        dataset="d1",
        seed=7,
        strategy="grouped, stratified by label",
        grouped_by=("near duplicates",),
        train_ids=tuple(f"train-{k}" for k in range(9000)),
        validation_ids=tuple(f"validation-{k}" for k in range(1000)),
        test_ids=test_ids,
        test_sha256=TEST_SHA,
        left_out={"x-1": "equals a test row", "x-2": "equals a test row", "x-3": "no label"},
        test_given=True,
        smallest_provable_gain=0.021,
    )
