"""Augmentation beside its control: the rows of the augmented arm, and what they changed on the same validation rows."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.augment import Augmented, AugmentRequest, augment
from provetune.evaluation import compare
from provetune.hashing import fingerprint
from provetune.protocols import Generator
from provetune.records.augmentation import AugmentationReport
from provetune.records.data import Example, Split
from provetune.records.evaluation import Comparison, Evaluation
from provetune.store import StepKey
from provetune.workflow.project import Project

SUFFIX = "-augmented"
"""What the name of a candidate ends with that was trained on the augmented rows."""


def augmented_rows(project: Project, parts: Split, train: Sequence[Example], base: Generator) -> Augmented | None:
    """The training rows and the new ones that the project file asks for; None where it asks for none.

    New rows are held against every row that does not train, test rows among them, as the audit does: a near copy is dropped,
    nothing else is learned from them, and the sealed file is not opened. `base` writes the paraphrases.
    """
    spec = project.spec.augment
    if not spec.kinds:
        return None
    mine = set(parts.train_ids)
    return augment(
        AugmentRequest(
            train=train,
            held_out=[*(e for e in project.examples if e.id not in mine), *(project.given_test or ())],
            kinds=spec.kinds,
            share=spec.share,
            copies=spec.copies,
            seed=spec.seed,
            generator=base,
            generator_name=project.model.name,
            progress=project.progress,
        )
    )


def augmentation_report(project: Project, augmented: Augmented, measured: Sequence[Evaluation]) -> AugmentationReport:
    """Whether it helped: each candidate with augmentation against the same one without, paired on validation, in every metric."""

    def make() -> AugmentationReport:
        return _report(augmented, _compared(project, measured), project.metric)

    inputs = {"measured": fingerprint([evaluation.fingerprint for evaluation in measured])}
    return project.store.once(StepKey("augmentation", 1, inputs), AugmentationReport, make)


def _compared(project: Project, measured: Sequence[Evaluation]) -> list[Comparison]:
    confidence = project.spec.prove.confidence
    without = {e.candidate.name: e for e in measured}
    pairs = [(e, without[name.removesuffix(SUFFIX)]) for name, e in without.items() if name.endswith(SUFFIX)]
    return [compare(ours, theirs, metric, confidence) for ours, theirs in pairs for metric in ours.metrics]


def _report(augmented: Augmented, found: Sequence[Comparison], metric: str) -> AugmentationReport:
    deciding = [comparison for comparison in found if comparison.metric == metric]
    return AugmentationReport(
        original_rows=len(augmented.rows) - augmented.kept,
        made=augmented.made,
        kept=augmented.kept,
        dropped=augmented.dropped,
        comparisons=tuple(found),
        sentence=" ".join(difference_text(comparison) for comparison in deciding),
    )


def difference_text(comparison: Comparison) -> str:
    """What a paired difference on validation says about augmentation, in one sentence."""
    found = comparison.difference
    if found.value is None or found.low is None or found.high is None:
        return f"{comparison.candidate}: not measured."
    change = f"{100 * found.value:+.1f} points of {comparison.metric} [{100 * found.low:+.1f}, {100 * found.high:+.1f}], n={found.n}"
    if found.low > 0:
        return f"{comparison.candidate}: augmentation helped on validation ({change})."
    if found.high < 0:
        return f"{comparison.candidate}: augmentation did harm on validation ({change}); leave it out."
    return f"{comparison.candidate}: no difference that validation can show ({change})."
