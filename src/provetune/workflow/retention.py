"""What tuning made the model forget, as one step of a run: measured once, the base's scores kept for every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.evaluation.memorisation import memorisation, sampled
from provetune.evaluation.remedies import selecting
from provetune.evaluation.retention import Terms, Texts, items_sha256, measure_retention, overall, score_suite
from provetune.hashing import fingerprint
from provetune.protocols import Speaker
from provetune.records.candidate import Candidate, TrainingRun
from provetune.records.data import Example, Message
from provetune.records.evaluation import GateRule
from provetune.records.retention import RetentionReport, SuiteItem, SuiteScores
from provetune.store import StepKey, content_sha256
from provetune.suites.retention import general_prompts, load_suites
from provetune.workflow.project import Project

TEXTS = 200
"""Texts that the base writes, and at most as many of the task's rows."""


@dataclass(frozen=True)
class Forgetting:
    """What retention is measured on: the suites by name, the rows trained on, and others that stand for the task.

    Where weights were `selected` by some items of the suites, the others judge them.
    """

    suites: Sequence[str]
    train: Sequence[Example]
    validation: Sequence[Example]
    terms: Terms = Terms()
    selected: bool = False


def retention_rules(project: Project, names: Sequence[str], terms: Terms) -> tuple[GateRule, ...]:
    """One rule per skill of each suite: not worse than the base by the margin or more, one-sided."""
    return tuple(
        GateRule(
            name=f"keeps {skill}",
            kind="not_worse_than",
            metric=skill,
            baseline=f"the base model {project.model.name}",
            margin=terms.margin,
            confidence=terms.confidence,
            panel=suite,
        )
        for suite, items in load_suites(names, project.folder).items()
        for skill in dict.fromkeys(item.skill for item in items)
    )


def retention(project: Project, candidate: Candidate, training: TrainingRun, asked: Forgetting) -> RetentionReport:
    """The report for one tuned candidate; made once for these weights, suites and rows."""
    whole = load_suites(asked.suites, project.folder)
    chosen = {name: selecting(items) if asked.selected else [] for name, items in whole.items()}
    suites = {name: [item for place, item in enumerate(items) if place not in set(chosen[name])] for name, items in whole.items()}
    model = fingerprint(project.model.model_dump(mode="json"))
    inputs = {
        "model": model,
        "weights": training.weights_sha256,
        "suites": fingerprint({name: items_sha256(items) for name, items in suites.items()}),
        "rows": fingerprint([content_sha256(asked.train), content_sha256(asked.validation)]),
        "terms": fingerprint([asked.terms.margin, asked.terms.confidence]),
    }

    def make() -> RetentionReport:
        from provetune.models.pair import ModelPair

        progress = project.reporting(f"{candidate.name}, retention")
        folder = project.folder / training.weights_folder
        # with a head the base itself answers all that is no label
        weights: dict[str, Path] = {} if training.method == "head" else {"full" if training.method == "full" else "adapter": folder}
        pair = ModelPair(project.base_folder, project.tokenizer, **weights)
        before = {name: _part(base_scores(project, pair.before, name, items), chosen[name]) for name, items in whole.items()}
        terms = Terms(asked.terms.margin, asked.terms.confidence, before)
        report = measure_retention(pair, suites, _texts(asked), terms, progress)
        train, unseen = (sampled(rows, TEXTS, name) for name, rows in (("train", asked.train), ("unseen", asked.validation)))
        recited = memorisation(pair, train, unseen, progress)
        return report.model_copy(update={"candidate": candidate.name, "memorisation": recited, "kept": overall(report.skills)})

    return project.store.once(StepKey(f"retention-{candidate.name}", 1, inputs), RetentionReport, make)


def _part(scores: SuiteScores, without: Sequence[int]) -> SuiteScores:
    left_out = set(without)
    return scores.model_copy(update={"scores": tuple(one for place, one in enumerate(scores.scores) if place not in left_out)})


def base_scores(project: Project, base: Speaker, name: str, items: Sequence[SuiteItem]) -> SuiteScores:
    """The base's own scores: the same for every candidate tuned from it."""
    inputs = {"model": fingerprint(project.model.model_dump(mode="json")), "items": items_sha256(items), "suite": name}
    told = project.reporting("base, retention")
    return project.store.once(StepKey("suite", 1, inputs), SuiteScores, lambda: score_suite(base, name, items, told))


def _texts(asked: Forgetting) -> Texts:
    """Requests to the base: the bundled ones, the rest from the training rows' own inputs; the task's texts are unsealed rows."""
    general = [(Message(role="user", content=text),) for text in general_prompts()]
    own = [e.prompt_messages for e in sampled(asked.train, TEXTS - len(general), "prompts")]
    return Texts([*general, *own], [e.messages for e in sampled(asked.validation, TEXTS, "task")])
