"""All folds as one: every row a test row, one candidate for those of all folds, one evaluation for theirs."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.hashing import fingerprint
from provetune.records.candidate import Candidate
from provetune.records.data import Example, Split
from provetune.records.evaluation import Evaluation, Prediction
from provetune.stats.power import EXPECTED_DISCORDANCE, smallest_provable_gain
from provetune.stats.proportion import wilson
from provetune.store import StepKey, content_sha256, lines_of, row_hash
from provetune.workflow.project import Project


def all_as_test(project: Project, scored: Sequence[Example]) -> Split:
    """All rows as one test part."""
    inputs = {"rows": content_sha256(scored), "folds": str(project.spec.prove.folds), "seed": str(project.spec.data.split.seed)}
    sealed = project.store.sealed
    return project.store.once(
        StepKey("folds", 1, inputs), Split, lambda: _sealed(project, scored), usable=lambda one: (sealed / one.test_file).is_file()
    )


def _sealed(project: Project, scored: Sequence[Example]) -> Split:
    name, digest = project.store.seal_rows(scored)
    made = {e.id: "is made from another row or by a model; such rows only train" for e in project.examples if e.synthetic}
    return Split(
        dataset=project.dataset.fingerprint,
        seed=project.spec.data.split.seed,
        strategy=f"{project.spec.prove.folds} folds, each scored by a training on the others",
        grouped_by=("near duplicates", "source_id", "group"),
        train_ids=(),
        validation_ids=(),
        test_ids=tuple(e.id for e in scored),
        test_file=name,
        test_sha256=digest,
        test_row_hashes=tuple(row_hash(e) for e in scored),
        left_out=made,
        smallest_provable_gain=smallest_provable_gain(len(scored), EXPECTED_DISCORDANCE),
    )


def one_name(candidates: Sequence[Candidate], name: str) -> Candidate:
    """One name for what stood in all folds; prompt and settings are those of the first, the hash is over all."""
    hashed = fingerprint([one.fingerprint for one in candidates])
    return candidates[0].model_copy(update={"name": name, "weights_sha256": hashed, "weights_folder": None})


def merged(project: Project, candidate: Candidate, parts: Sequence[Evaluation]) -> Evaluation:
    """The out-of-fold evaluations as one; of metrics those that all folds have."""
    metrics = [name for name in parts[0].metrics if all(name in part.metrics for part in parts)]
    usable = sum(round((part.parsed.value or 0.0) * part.parsed.n) for part in parts)
    texts = [Prediction.model_validate_json(line) for part in parts for line in lines_of(project.folder / part.predictions_file)]
    return parts[0].model_copy(
        update={
            "candidate": candidate,
            "example_ids": tuple(name for part in parts for name in part.example_ids),
            "group_ids": tuple(name for part in parts for name in part.group_ids),
            "metrics": {name: parts[0].metrics[name] for name in metrics},
            "observations": {name: tuple(row for part in parts for row in part.observations[name]) for name in metrics},
            "parsed": wilson(usable, sum(part.parsed.n for part in parts)),
            "predictions_file": project.store.write_predictions(f"out-of-fold-{candidate.name}-{candidate.fingerprint[:8]}", texts),
            "label_prior": (),
            **{name: sum(getattr(part, name) for part in parts) for name in _SUMS},
        }
    )


_SUMS = ("not_measured", "seconds", "prompt_tokens", "completion_tokens", "shots_left_out", "kept")
