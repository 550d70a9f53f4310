"""Fairness in the proof: rules before training, the report when the test is open, the decision from the evidence alone."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from provetune.errors import EvidenceError
from provetune.models.lazy import LazyGenerator
from provetune.models.responses import CachedGenerator, Identity, ResponseCache
from provetune.prompting import WithShots
from provetune.protocols import Completion, Likelihoods, Progress
from provetune.records.candidate import Candidate, GenerationSettings
from provetune.records.data import Message
from provetune.records.evaluation import Decision, Evidence
from provetune.records.robustness import RobustnessReport
from provetune.workflow import steps
from provetune.workflow.contender import Contender
from provetune.workflow.decided import recompute
from provetune.workflow.fairness import fairness_rules
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.prompts import generation_settings, prompt_candidates
from provetune.workflow.proof import Results
from provetune.workflow.prove import prove
from provetune.workflow.rules import fixed_before_training, gate_rules
from provetune.workflow.verify import verify

ANSWERS = ("accept", "reject")


class Clerk:
    """Answers by a rule of the user's words, and counts how often it is asked."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.asked = answer, 0

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        self.asked += len(prompts)
        return [Completion(self.answer(messages[-1].content), 1, 1, True) for messages in prompts]

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        right = [self.answer(messages[-1].content) for messages in prompts]
        return [
            Likelihoods(tuple(-0.1 if one == text else -2.5 for one in options), (1,) * len(options), 1)
            for text, options in zip(right, choices, strict=True)
        ]


def fair(text: str) -> str:
    return ANSWERS["late" in text]


def against_women(text: str) -> str:
    return "reject" if "woman" in text else fair(text)


def write_project(folder: Path, base: Path) -> None:
    draw = random.Random(3)
    rows = []
    for k in range(400):
        words = "".join(draw.choice("abcdefghij") for _ in range(40))
        rows.append(
            (f"{words}: a {('woman', 'man')[k % 2]} who paid {('late', 'early')[k // 2 % 2]}", ANSWERS[k // 2 % 2 == 0], "ab"[k % 2])
        )
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label", "office"), *rows])
    (folder / "provetune.yaml").write_text(
        "version: 1\nname: loans\ndata:\n  path: rows.csv\n  columns: {prompt: text, target: label, slice: office}\n  split: {test: 0.5}\n"
        f"base: {base}\ntask: {{type: classify, max_new_tokens: 8}}\n"
        "prove: {against: [zero-shot], slices: office=a, margin: 0, retention: []}\n"
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Project:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, tiny_folder)
    found = open_project(folder, (), lambda *_: None)
    begin_run(found)
    return found


def proven(project: Project, after: Callable[[str], str], before: Callable[[str], str]) -> tuple[Decision, Evidence, Path, str]:
    audit = steps.audit_project(project)
    split = steps.split_project(project, audit)
    rows = {example.id: example for example in project.examples}
    train = [rows[key] for key in split.train_ids]
    settings = generation_settings(project, train)
    prompts = prompt_candidates(project, train, settings)
    rules = (*gate_rules(project, list(prompts)), *fairness_rules(project, split, prompts))
    plan = steps.plan_project(project, split, train)
    champion = Candidate(name="tuned-lora", kind="adapter", prompt=steps.PLAIN, generation=settings, weights_sha256=after.__name__)
    contenders = [Contender(variants[0], Clerk(before), ()) for variants in prompts.values()]
    results = Results(audit, split, plan, (), (), rules, fixed_before_training(project, split, rules))
    decision, report, file = prove(project, results, [*contenders, Contender(champion, Clerk(after), ())], champion)
    return decision, Evidence.from_json(file.read_text(encoding="utf-8")), file, report.read_text(encoding="utf-8")


def forgetful(text: str) -> str:
    """Right in four of five rows, whoever is named."""
    return fair(text) if hash_of(text) % 5 else ANSWERS[fair(text) == "accept"]


def hash_of(text: str) -> int:
    return sum(map(ord, text.split(":")[0]))


def test_a_bias_that_tuning_brought_is_held(project: Project) -> None:
    decision, evidence, file, report = proven(project, against_women, forgetful)
    held = {v.rule.metric: v for v in decision.verdicts if v.rule.panel}
    assert set(held) == {"gender", "office=a"} and decision.outcome == "hold"
    assert (
        held["gender"].outcome == "fail"
        and held["gender"].observed is not None
        and held["gender"].observed.value == pytest.approx(0.5, abs=0.1)
    )
    assert evidence.fairness is not None and evidence.fairness.baseline == "zero-shot"
    assert {(g.group, g.train.n, g.test.n) for g in evidence.fairness.representation} == {("women", 200, 200), ("men", 200, 200)}
    assert recompute(evidence) == decision and verify(file)[1] == decision
    assert "Groups and slices" in report and "answers that change with the group" in report and "office=a" in report


def test_flips_that_were_taken_out_of_the_evidence_are_noticed(project: Project, tmp_path: Path) -> None:
    _, _, file, _ = proven(project, against_women, forgetful)
    content = json.loads(file.read_text(encoding="utf-8"))
    panel = next(p for p in content["fairness"]["panels"] if p["kind"] == "flips")
    panel["values"] = [[0.0, 0.0, 0.0, 0.0] for _ in panel["values"]]
    (tmp_path / "evidence.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(EvidenceError, match="fairness: gender, answers that change with the group is not what its rows give"):
        verify(tmp_path / "evidence.json")


def test_a_model_that_treats_both_alike_passes(project: Project) -> None:
    decision, evidence, _, _ = proven(project, fair, forgetful)
    assert {v.rule.metric: v.outcome for v in decision.verdicts if v.rule.panel} == {"gender": "pass", "office=a": "pass"}
    assert decision.outcome == "ship" and "no harm by gender, office=a" in decision.sentence
    assert evidence.fairness is not None
    assert [s.model_dump() for s in evidence.fairness.swaps] == [
        {"category": "gender", "first": "women", "second": "men", "swapped": 200, "unsure": 0}
    ]


def test_nothing_is_asked_of_what_the_project_file_leaves_out(project: Project) -> None:
    audit = steps.audit_project(project)
    split = steps.split_project(project, audit)
    assert fairness_rules(project, split, ()) == ()
    fewer = open_project(project.folder, ("prove.fairness.counterfactual=none", "prove.slices=[]"), lambda *_: None)
    assert fairness_rules(fewer, split, ("zero-shot",)) == ()


def test_asking_afresh_asks_again_and_once(project: Project, tmp_path: Path) -> None:
    clerk = Clerk(fair)
    kept = CachedGenerator(LazyGenerator(lambda: clerk), ResponseCache(tmp_path / "r.sqlite"), Identity("w", "", "t"))
    asked = [[Message(role="user", content="paid late")]]
    settings = GenerationSettings()
    for generator, count in ((kept, 1), (kept, 1), (kept.afresh(), 2), (kept.afresh(), 2)):
        generator.generate(asked, settings, lambda *_: None)
        assert clerk.asked == count
    shown = WithShots(kept, (), None, None)  # type: ignore[arg-type]  # it picks nothing here
    shown.afresh().generate(asked, settings, lambda *_: None)
    assert clerk.asked == 2 and isinstance(shown.afresh(), WithShots)


def test_robustness_is_measured_where_the_project_file_asks_for_it(project: Project) -> None:
    (project.folder / "others.txt").write_text("What is the capital of Chile?\nSing a song.\n", encoding="utf-8")
    asked = (
        "prove.robustness.changes=[typos, longer, paraphrase]",
        "prove.robustness.out_of_scope=others.txt",
        "prove.robustness.wordings=true",
    )
    other = open_project(project.folder, asked, lambda *_: None)
    begin_run(other)
    _, evidence, _, report = proven(other, fair, forgetful)
    [file] = (other.store.current / "records").glob("robustness-*.json")
    found = RobustnessReport.from_json(file.read_text(encoding="utf-8"))
    assert evidence.records["robustness"] == found.fingerprint
    assert {(one.candidate, one.change) for one in found.drops} == {
        (name, change) for name in ("tuned-lora", "zero-shot") for change in ("typos", "longer", "paraphrase")
    }
    kept = {one.change: one for one in found.drops if one.candidate == "tuned-lora"}
    assert kept["longer"].drop.value == 0 and kept["longer"].rows == 200 and kept["longer"].unchanged == 0
    assert kept["typos"].rows + kept["typos"].unchanged == 200  # two equal letters may have changed places
    assert kept["typos"].drop.low is not None and kept["typos"].drop.low > 0  # `late` is one of few words
    assert kept["paraphrase"].rows == 0 and kept["paraphrase"].unchanged == 200  # a label is no rewording
    assert [(one.answered.value, one.answered.n) for one in found.out_of_scope] == [(1.0, 2), (1.0, 2)]
    assert all(len(one.scores) == 4 for one in found.wordings)
    assert "Requests that are not for the model" in report and "best minus worst" in report
