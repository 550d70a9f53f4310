"""What a report does not show, said from its own records."""

from __future__ import annotations

from collections.abc import Iterator

from provetune.report.inputs import ReportInputs, champion_evaluation, deciding_comparisons, deciding_metric, evaluations_on_test
from provetune.report.words import estimate_text

_SMALL_MODEL = 50_000_000
_FEW_PER_LABEL = 10


def limits(inputs: ReportInputs) -> tuple[str, ...]:
    """Sentences, the weightiest first."""
    return (*_of_the_test(inputs), *_of_the_training(inputs), *_of_the_data(inputs), *_always(inputs))


def _of_the_test(inputs: ReportInputs) -> Iterator[str]:
    evidence, split = inputs.evidence, inputs.split
    champion = champion_evaluation(evidence)
    if champion is None:
        yield "The candidate was not measured on the test split, so nothing is shown about it."
    rows = len(split.test_ids)
    folds = evidence.folds
    if folds is not None:
        yield (
            f"What is proven is the recipe, trained on {folds.folds - 1} of {folds.folds} folds, not one set of weights: weights trained "
            "on all rows are unproven by themselves. Retention, fairness and robustness speak of one set of weights and were not measured."
        )
    drawn = "One test split" if folds is None else f"{folds.folds} folds"
    yield (
        f"{drawn} of {rows:,} examples. The intervals say how far another draw of the same kind could move the numbers; "
        "they say nothing about a different kind of example."
    )
    if split.smallest_provable_gain is not None:
        yield f"A true gain below {split.smallest_provable_gain:.3f} would probably not have been proven with a test split of this size."
    for comparison in deciding_comparisons(evidence):
        difference = comparison.difference
        if difference.low is not None and difference.high is not None and difference.low <= 0 <= difference.high:
            yield f"Against {comparison.baseline} the interval {estimate_text(difference, True)} contains zero: no difference is shown."
    if len(evidence.openings) > 1:
        yield (
            f"The test split was opened {len(evidence.openings)} times. Choices made after an opening can fit the test rows; "
            "the share of error allowed is divided by the number of the opening, which lessens this and does not remove it."
        )
    for one in evaluations_on_test(evidence):
        if one.not_measured:
            yield (
                f"{one.not_measured:,} of {len(one.example_ids):,} test examples were not measured for {one.candidate.name}; "
                "they count as missing, not as wrong."
            )
    labels = len(evidence.labels)
    if labels and rows / labels < _FEW_PER_LABEL:
        few = f"fewer than {_FEW_PER_LABEL} for each"
        yield f"{rows:,} test examples over {labels} labels are {few}: the score of a single label is not known."
    if not split.test_given:
        yield "The test examples come from the same file as the training examples: they stand for examples like these, not for next year's."


def _of_the_training(inputs: ReportInputs) -> Iterator[str]:
    seeds = sorted({run.seed for run in inputs.runs})
    if len(seeds) == 1:
        yield f"One seed ({seeds[0]}): how much the score changes when training starts from another random state is not known."
    elif seeds:
        yield f"{len(seeds)} seeds were trained; the verdict is about the one chosen on validation. Training shows the spread."
    model = inputs.plan.model
    if model.parameters < _SMALL_MODEL:
        yield (
            f"The base model {model.name} is small ({model.parameters / 1e6:.1f} million parameters). "
            "A larger one usually does better with prompts alone, and tuning it may gain less."
        )
    if not any(e.candidate.kind == "endpoint" for e in evaluations_on_test(inputs.evidence)):
        yield "The prompts were tried on the same base model. No larger hosted model was measured."
    for run in inputs.runs:
        if run.validation and run.best_step == run.total_steps and run.total_steps > 0:
            yield f"The best point of the {run.method} training was its last step: longer training might have gone further."


def _of_the_data(inputs: ReportInputs) -> Iterator[str]:
    audit = inputs.audit
    blockers = [f for f in audit.findings if f.severity == "blocker"]
    warnings = [f for f in audit.findings if f.severity == "warning"]
    if blockers or inputs.evidence.audit_blockers:
        yield f"The audit names blockers in the data ({max(len(blockers), len(inputs.evidence.audit_blockers))})."
    if warnings:
        names = ", ".join(f.check for f in warnings[:5])
        yield f"The audit left warnings open ({len(warnings)}: {names}); the scores hold for data with these faults."
    if inputs.split.left_out:
        yield f"{len(inputs.split.left_out):,} examples were left out before the split; nothing is shown about rows of their kind."
    if audit.tokens is not None and audit.tokens.over_context:
        yield f"{audit.tokens.over_context:,} examples are longer than the model can read ({audit.tokens.context_length:,} tokens)."
    if inputs.plan.model.licence == "unknown":
        yield "The licence of the base model is not known: ask before the model is used for anything that is sold."


def _always(inputs: ReportInputs) -> Iterator[str]:
    kinds = {rule.kind for rule in inputs.evidence.rules}
    if "not_worse_than" not in kinds:
        yield "No rule asked whether the tuned model forgot other abilities, treats groups alike or stays safe: this was not measured."
    yield "Whether the base model saw the test examples in its own training cannot be told from these records."
    yield f"The score ({deciding_metric(inputs.evidence)}) is computed, not judged by people; speed under load was not measured."
