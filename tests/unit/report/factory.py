"""Records made by hand for the tests of the report; every number here is chosen, none is computed."""

from __future__ import annotations

from dataclasses import replace

from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.records.evaluation import Comparison, Decision, Evaluation, Evidence, GateRule, Opening, Verdict
from provetune.report.inputs import ReportInputs
from provetune.stats.estimate import Estimate
from tests.unit.report.factory_parts import MODEL, TEST_SHA, audit_of, plan_of, run_of, split_of

CHAMPION, FEW_SHOT, ZERO_SHOT, LINEAR = "tuned-lora", "few-shot", "zero-shot", "linear"
SCORES = {CHAMPION: (0.873, 0.861, 0.884), LINEAR: (0.812, 0.798, 0.826), FEW_SHOT: (0.604, 0.587, 0.621), ZERO_SHOT: (0.118, 0.107, 0.130)}
DIFFERENCES = {LINEAR: (0.061, 0.047, 0.075), FEW_SHOT: (0.269, 0.250, 0.288), ZERO_SHOT: (0.755, 0.738, 0.771)}


def label_names(count: int) -> tuple[str, ...]:
    """Labels like those of a bank's help desk."""
    return tuple(f"card_payment_topic_{k:02d}" for k in range(count))


def examples_of(count: int, labels: tuple[str, ...], text: str = "") -> dict[str, Example]:
    """Test rows by id; `text` replaces every user message."""
    rows = {}
    for k in range(count):
        label = labels[k % len(labels)]
        asked = text or f"Why was my card payment number {k} refused yesterday in the shop around the corner?"
        rows[f"row-{k:05d}"] = Example(
            id=f"row-{k:05d}", messages=(Message(role="user", content=asked), Message(role="assistant", content=label)), label=label
        )
    return rows


def texts_of(examples: dict[str, Example], labels: tuple[str, ...], wrong_every: int) -> dict[str, str | None]:
    """Completions; each `wrong_every`-th names the next label, and each 50th of those none at all."""
    written: dict[str, str | None] = {}
    for k, (key, example) in enumerate(examples.items()):
        label = str(example.label)
        if k % wrong_every == 0:
            label = "I cannot say." if k % (50 * wrong_every) == 0 else labels[(labels.index(label) + 1) % len(labels)]
        written[key] = label
    return written


def candidate_of(name: str, system: str, shot: str) -> Candidate:
    """The tuned adapter, the linear classifier or one of two prompts."""
    kind = {CHAMPION: "adapter", LINEAR: "linear"}.get(name, "prompt")
    prompt = Prompt(strategy="plain")
    if name in (FEW_SHOT, ZERO_SHOT):
        shots = ((Message(role="user", content=shot), Message(role="assistant", content="card_payment_topic_03")),) * (
            8 if name == FEW_SHOT else 0
        )
        prompt = Prompt(strategy=name, system=system, shots=shots, shot_ids=tuple(f"train-{k}" for k in range(len(shots))))
    return Candidate.model_validate(
        {
            "name": name,
            "kind": kind,
            "prompt": prompt,
            "generation": GenerationSettings(),
            "model": MODEL,
            "weights_sha256": "cd" * 32 if name == CHAMPION else None,
        }
    )


def evaluation_of(candidate: Candidate, examples: dict[str, Example], texts: dict[str, str | None]) -> Evaluation:
    """Accuracy on the test rows, with the chosen estimate."""
    n = len(examples)
    right = [(float(texts[key] == example.label),) for key, example in examples.items()]
    value, low, high = SCORES[candidate.name]
    return Evaluation(
        candidate=candidate,
        part="test",
        example_ids=tuple(examples),
        group_ids=tuple(examples),
        metrics={"accuracy": "1"},
        observations={"accuracy": tuple(right)},
        summary={"accuracy": Estimate(value, low, high, n, 0.95, "Wilson")},
        parsed=Estimate(0.994, 0.990, 0.996, n, 0.95, "Wilson"),
        not_measured=0,
        predictions_file=f"predictions/{candidate.name}.jsonl",
        seconds=412.7,
        prompt_tokens=61_600,
        completion_tokens=12_320,
    )


def openings_of(test_ids: tuple[str, ...], count: int) -> tuple[Opening, ...]:
    """`count` lines of the ledger."""
    return tuple(
        Opening(
            at=f"2026-11-2{k}T10:00:00Z",
            reason="prove" if k else "first look",
            run=f"run-{k}",
            spec="0b1c2d3e4f506172",
            test_sha256=TEST_SHA,
            row_hashes=test_ids,
            candidates=(CHAMPION, FEW_SHOT),
        )
        for k in range(count)
    )


def rules_of() -> tuple[GateRule, ...]:
    """Two opponents that decide, and the audit."""
    against = (
        GateRule(name=f"beats {name}", kind="beats_baseline", metric="accuracy", baseline=name, margin=0.02)
        for name in (ZERO_SHOT, FEW_SHOT)
    )
    return (*against, GateRule(name="audit", kind="audit"))


def comparison_of(baseline: str, n: int) -> Comparison:
    """The chosen difference of the champion to one baseline."""
    value, low, high = DIFFERENCES[baseline]
    return Comparison(
        candidate=CHAMPION,
        baseline=baseline,
        metric="accuracy",
        difference=Estimate(value, low, high, n, 0.95, "paired, Newcombe"),
        p_value=0.0001,
        p_method="exact McNemar",
        wins=12,
        ties=7,
        losses=3,
    )


def decision_of(outcome: str, differences: dict[str, Estimate], rules: tuple[GateRule, ...]) -> Decision:
    """A decision with one verdict for each rule."""
    words = {"ship": "pass", "hold": "fail", "inconclusive": "inconclusive"}
    verdicts = tuple(
        Verdict.model_validate(
            {
                "rule": rule,
                "outcome": words[outcome],
                "observed": differences.get(rule.baseline),
                "reason": "the interval was compared with the margin",
                "more_examples": 640 if outcome == "inconclusive" else None,
            }
        )
        for rule in rules
    )
    return Decision.model_validate(
        {
            "outcome": outcome,
            "sentence": "The tuned model is better than every prompt by more than the margin.",
            "next_step": "Build the package: provetune ship",
            "champion": CHAMPION,
            "verdicts": verdicts,
            "opening": 2,
            "confidence": 0.975,
        }
    )


def inputs_of(*, rows: int = 40, label_count: int = 5, outcome: str = "ship", text: str = "", openings: int = 2) -> ReportInputs:
    """A whole run; `text`, where given, stands in every place that a user's text can reach."""
    labels = label_names(label_count)
    examples = examples_of(rows, labels, text)
    system = text or "You route messages of a bank's customers.\nAnswer with the topic only."
    candidates = [candidate_of(name, system, text or "My card was refused.") for name in (CHAMPION, LINEAR, FEW_SHOT, ZERO_SHOT)]
    texts = {c.name: texts_of(examples, labels, every) for c, every in zip(candidates, (8, 6, 3, 1), strict=True)}
    rules, comparisons = rules_of(), tuple(comparison_of(name, rows) for name in DIFFERENCES)
    evidence = Evidence(
        project=text or "ticket-router",
        made_at="2026-11-22T10:15:00Z",
        made_by="provetune 0.1.0",
        environment={"python": "3.11.9", "platform": "Linux"},
        fixed_before_training={"metric": "accuracy", "margin": "0.02", "test_sha256": TEST_SHA, "note": text or "none"},
        rules=rules,
        audit_blockers=(),
        labels=labels,
        champion=CHAMPION,
        evaluations=tuple(evaluation_of(c, examples, texts[c.name]) for c in candidates),
        comparisons=comparisons,
        openings=openings_of(tuple(examples), openings),
        decision=decision_of(outcome, {c.baseline: c.difference for c in comparisons}, rules),
        records={"spec": "0b1c2d3e4f506172"},
    )
    predictions = {name: ({key: text for key in each} if text and name != CHAMPION else each) for name, each in texts.items()}
    return ReportInputs(
        evidence=evidence,
        audit=audit_of(labels, text or "212 rows are nearly equal to another row"),
        split=split_of(tuple(examples)),
        plan=plan_of(),
        runs=(run_of("lora"), run_of("full")),
        examples=examples,
        predictions=predictions,
    )


def with_rows_not_measured(inputs: ReportInputs, count: int) -> ReportInputs:
    """The same run where no candidate's first `count` rows were measured."""

    def blanked(evaluation: Evaluation) -> Evaluation:
        rows = tuple(None if k < count else row for k, row in enumerate(evaluation.observations["accuracy"]))
        return evaluation.model_copy(update={"observations": {"accuracy": rows}, "not_measured": count})

    evaluations = tuple(blanked(one) for one in inputs.evidence.evaluations)
    return replace(inputs, evidence=inputs.evidence.model_copy(update={"evaluations": evaluations}))
