"""The last part of the flow on scripted candidates: one opening, evidence that gives its decision again, and tampering."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import EvidenceError
from provetune.models.scripted import ScriptedGenerator
from provetune.records.candidate import Candidate
from provetune.records.evaluation import Decision, Evidence, GateRule
from provetune.workflow import steps
from provetune.workflow.contender import Contender
from provetune.workflow.decided import at_confidence, measured_on_test, recompute
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.prompts import generation_settings, prompt_candidates
from provetune.workflow.proof import Results
from provetune.workflow.prove import prove
from provetune.workflow.rules import fixed_before_training, gate_rules
from provetune.workflow.verify import verify
from tests.unit.records_by_hand import examples_of, measured

WORDS = {
    "refund": ("money back", "return the goods", "cancel and repay"),
    "delivery": ("parcel is late", "courier never came", "track the shipment"),
    "billing": ("invoice is wrong", "charged twice", "update the card"),
}
Content = dict[str, Any]


def write_project(folder: Path, base: Path) -> None:
    """90 short requests with three labels; every fourth is about another thing than the words say."""
    rows = []
    for k in range(90):
        label = tuple(WORDS)[k % 3]
        phrase = WORDS[label][k // 3 % 3]
        rows.append((f"{phrase}, order {k * 7919} of {'abcdefgh'[k % 8] * 6} from customer {k * 104729}", label))
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    (folder / "provetune.yaml").write_text(
        f"version: 1\nname: scripted\ndata:\n  path: rows.csv\n  columns: {{prompt: text, target: label}}\n"
        f"base: {base}\ntask: {{type: classify, max_new_tokens: 8}}\n"
        "prove: {against: [zero-shot, few-shot], margin: 0.02, retention: []}\n"
    )


def script(project: Project, wrong_every: int) -> ScriptedGenerator:
    """Right but for every `wrong_every`-th row (0: always right)."""
    answers = {}
    for k, example in enumerate(project.examples):
        wrong = wrong_every and k % wrong_every == 0
        answers[example.messages[-2].content] = "no idea" if wrong else example.target
    return ScriptedGenerator(answers)


@dataclass(frozen=True)
class Proof:
    project: Project
    again: Callable[[], tuple[Decision, Path, Path]]
    decision: Decision
    evidence: Evidence


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Proof:
    """A tuned candidate that is always right, against prompts that often are not."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, tiny_folder)
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    audit = steps.audit_project(project)
    split = steps.split_project(project, audit)
    rows = {example.id: example for example in project.examples}
    train = [rows[key] for key in split.train_ids]
    plan = steps.plan_project(project, split, train)
    settings = generation_settings(project, train)
    prompts = prompt_candidates(project, train, settings)
    rules = gate_rules(project, list(prompts))
    champion = Candidate(name="tuned-lora", kind="adapter", prompt=steps.PLAIN, generation=settings, weights_sha256="ab")
    linear = steps.linear_candidate(train, settings)
    contenders = [
        *(Contender(variants[0], script(project, 2), ()) for variants in prompts.values()),
        Contender(linear, script(project, 5), ()),
        Contender(champion, script(project, 0), ()),
    ]
    results = Results(audit, split, plan, (), (), rules, fixed_before_training(project, split, rules))

    def again() -> tuple[Decision, Path, Path]:
        return prove(project, results, contenders, champion)

    decision, _, file = again()
    return Proof(project, again, decision, Evidence.from_json(file.read_text(encoding="utf-8")))


def test_the_better_candidate_ships(proof: Proof) -> None:
    assert proof.decision.outcome == "ship" and proof.decision.champion == "tuned-lora"
    assert [v.outcome for v in proof.decision.verdicts] == ["pass", "pass", "pass"]
    assert {c.baseline for c in proof.evidence.comparisons} == {"zero-shot", "few-shot", "linear"}
    assert len(proof.evidence.openings) == 1 and proof.decision.opening == 1


def test_the_evidence_gives_the_decision_again(proof: Proof) -> None:
    assert recompute(proof.evidence) == proof.decision == proof.evidence.decision


def test_proving_again_is_the_same_opening_and_the_same_files(proof: Proof) -> None:
    before = {file: file.read_bytes() for file in proof.project.store.current.glob("*.*ml")}
    ledger = proof.project.store.ledger_file.read_bytes()
    decision, report, evidence = proof.again()
    assert decision == proof.decision and proof.project.store.ledger_file.read_bytes() == ledger
    assert report.read_bytes() == before[report] and Evidence.from_json(evidence.read_text(encoding="utf-8")) == proof.evidence


def champion_of(content: Content) -> Content:
    found: Content = next(e for e in content["evaluations"] if e["candidate"]["name"] == "tuned-lora")
    return found


def tamper_observation(content: Content) -> None:
    champion_of(content)["observations"]["accuracy"][0] = [0.0]


def tamper_baseline(content: Content) -> None:
    weak = next(e for e in content["evaluations"] if e["candidate"]["name"] == "few-shot")
    weak["observations"]["accuracy"] = [[0.0] for _ in weak["observations"]["accuracy"]]


def tamper_candidate_beside(content: Content) -> None:
    beside = next(e for e in content["evaluations"] if e["candidate"]["name"] == "linear")
    beside["observations"]["accuracy"] = [[0.0] for _ in beside["observations"]["accuracy"]]


def tamper_verdict(content: Content) -> None:
    content["decision"]["verdicts"][0]["outcome"] = "fail"


def tamper_outcome(content: Content) -> None:
    content["decision"]["outcome"] = "hold"


def tamper_sentence(content: Content) -> None:
    content["decision"]["sentence"] += " By far."


def tamper_rule(content: Content) -> None:
    content["rules"][0]["margin"] = 0.0


def tamper_rule_and_verdict(content: Content) -> None:
    content["rules"][0]["margin"] = content["decision"]["verdicts"][0]["rule"]["margin"] = 0.0


def tamper_confidence(content: Content) -> None:
    content["decision"]["confidence"] = 0.5


def tamper_opening(content: Content) -> None:
    content["decision"]["opening"] = 2


def tamper_what_was_fixed(content: Content) -> None:
    content["fixed_before_training"]["margin"] = "0"


def remove_opening(content: Content) -> None:
    content["openings"] = []


def add_opening(content: Content) -> None:
    content["openings"].insert(0, {**content["openings"][0], "spec": "0" * 16})


def tamper_blockers(content: Content) -> None:
    content["audit_blockers"] = ["leaked rows"]


def tamper_comparison(content: Content) -> None:
    content["comparisons"][-1]["wins"] += 1


def tamper_summary(content: Content) -> None:
    champion_of(content)["summary"]["f1_macro"]["low"] = 0.99


def remove_champion(content: Content) -> None:
    content["evaluations"].remove(champion_of(content))


def remove_baseline(content: Content) -> None:
    content["evaluations"] = [e for e in content["evaluations"] if e["candidate"]["name"] != "zero-shot"]


def remove_row(content: Content) -> None:
    champion = champion_of(content)
    for key in ("example_ids", "group_ids"):
        champion[key] = champion[key][1:]
    champion["observations"] = {name: rows[1:] for name, rows in champion["observations"].items()}


BESIDE = (tamper_candidate_beside, tamper_opening, tamper_comparison, tamper_summary, tamper_what_was_fixed, remove_opening, add_opening)
"""What the decision does not follow from, but the report shows."""
TAMPERINGS = [value for name, value in list(globals().items()) if name.startswith(("tamper_", "remove_", "add_"))]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda f: str(f.__name__))
def test_tampered_evidence_is_refused(proof: Proof, tmp_path: Path, tamper: Callable[[Content], None]) -> None:
    content: Content = json.loads(proof.evidence.to_json())
    tamper(content)
    changed = Evidence.from_json(json.dumps(content))
    assert changed != proof.evidence
    if tamper not in BESIDE:
        with pytest.raises(EvidenceError):
            recompute(changed)
    file = tmp_path / "evidence.json"
    file.write_text(changed.to_json(), encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"evidence\.json"):
        verify(file)


def test_untouched_evidence_is_verified(proof: Proof, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(proof.evidence.to_json(), encoding="utf-8")
    assert verify(file) == (proof.evidence, proof.decision)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "provetune.evidence/1"}', '{"schema": "provetune.split/1"}', "\x00"])
def test_something_other_than_evidence_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"evidence\.json"):
        verify(file)
    with pytest.raises(EvidenceError, match="cannot be read"):
        verify(tmp_path / "missing.json")


def test_another_confidence_is_another_summary_of_the_same_rows(proof: Proof) -> None:
    evaluation = next(e for e in proof.evidence.evaluations if e.candidate.name == "few-shot" and e.part == "test")
    wider = at_confidence(evaluation, 0.99)
    assert wider.observations == evaluation.observations
    a, b = wider.summary["accuracy"], evaluation.summary["accuracy"]
    assert a.value == b.value and a.low is not None and b.low is not None and a.low < b.low


def test_a_rule_of_no_harm_gets_an_interval_of_its_own() -> None:
    rows = examples_of(["refund", "billing"] * 30)
    ours, theirs = (measured(name, ["refund"] * 60, rows)[0] for name in ("tuned", "few-shot"))
    rule = GateRule(name="kept", kind="not_worse_than", metric="accuracy", baseline="few-shot", margin=0.05)
    found = measured_on_test((ours, theirs), "tuned", [rule], ((), 2, 0.975)).comparisons
    assert sorted(c.difference.confidence for c in found if c.metric == "accuracy") == pytest.approx([0.95, 0.975])
    assert {c.difference.confidence for c in measured_on_test((ours, theirs), "tuned", [], ((), 2, 0.975)).comparisons} == {0.975}
