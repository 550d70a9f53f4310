"""The search in a project: base and tuned alike, nothing asked twice, no held-out words, the user's own prompts among those tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.hashing import seed_of
from provetune.models.responses import CachedGenerator, Identity
from provetune.protocols import Completion, Progress
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.records.prompt_search import NamedPrompt, PromptSet
from provetune.spec.parts import PromptsSpec
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.prompt_search import prompt_search, searched_opponent
from tests.flows.conftest import write_project

PLANTED = "Say where the ticket belongs."


class Base:
    """Answers right with a chance that the system line decides; stops for good after so many prompts."""

    def __init__(self, targets: dict[str, str], labels: Sequence[str], stops_after: int = 10**9) -> None:
        self.targets, self.labels, self.left = targets, labels, stops_after
        self.asked: Counter[str] = Counter()

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        found = []
        for messages in prompts:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked[str([m.model_dump() for m in messages])] += 1
            target = self.targets.get(messages[-1].content)
            system = messages[0].content if messages[0].role == "system" else ""
            lucky = seed_of(system, messages[-1].content) % 100 < (95 if PLANTED in system else 45)
            other = next(label for label in self.labels if label != target)
            text = "Read it twice, then answer." if target is None else target if lucky else other
            found.append(Completion(text, len(system), 1, True))
        return found


def project_of(folder: Path, base: Path, prompts: PromptsSpec) -> Project:
    project = open_project(folder if folder.exists() else write_project(folder, base, rows=240), (), lambda *_: None)
    begin_run(project)
    return replace(project, spec=project.spec.model_copy(update={"prompts": prompts}))


def prepared_of(project: Project, base: Base) -> Prepared:
    found = prepare(project)
    return replace(found, base=CachedGenerator(base, found.responses, Identity("w", "", "t")))


def base_of(project: Project, stops_after: int = 10**9) -> Base:
    return Base({e.prompt_text: e.target for e in project.examples}, project.labels, stops_after)


def own_prompts(project: Project, test_row: Example) -> PromptSet:
    """A good prompt, and one whose shot is a row of the sealed test split."""
    shot = (Message(role="user", content=test_row.prompt_text), Message(role="assistant", content=test_row.target))
    good = NamedPrompt(name="mine", prompt=Prompt(strategy="zero-shot", system=PLANTED))
    leaky = NamedPrompt(name="leaky", prompt=Prompt(strategy="few-shot", system=PLANTED, shots=(shot,)))
    found = PromptSet(source="by hand", prompts=(leaky, good))
    (project.folder / "prompts").mkdir()
    (project.folder / "prompts" / "mine.json").write_text(found.to_json(), encoding="utf-8")
    return found


def test_the_users_prompt_is_found_and_measured_on_all_rows(tmp_path: Path, tiny_folder: Path) -> None:
    project = project_of(tmp_path / "project", tiny_folder, PromptsSpec(search=12, rewrites=2, files=["prompts/mine.json"]))
    base = base_of(project)
    prepared = prepared_of(project, base)
    rows = {e.id: e for e in project.examples}
    own_prompts(project, rows[prepared.split.test_ids[0]])
    opponent, search = searched_opponent(project, prepared)
    assert search.trials[0].origin == "prompts/mine.json: mine" and search.trials[search.winner].prompt.system == PLANTED
    assert "1 not tried: a shot is a held-out row" in search.left_out
    assert search.completions == sum(trial.rows for trial in search.trials) + 64 + 2
    assert opponent.candidate == search.candidate and opponent.measured[0].example_ids == tuple(e.id for e in prepared.validation)
    assert any(trial.origin.startswith("rewritten from") for trial in search.trials)
    assert not project.store.ledger_file.exists(), "the sealed rows stay sealed"
    train = {e.id for e in prepared.train}
    assert all(set(trial.prompt.shot_ids) <= train for trial in search.trials)
    rewriter = next(asked for asked in base.asked if "Write a better instruction" in asked)
    shown = [e.id for e in project.examples if f"Message: {e.prompt_text}\\n" in rewriter]
    assert len(shown) == 6 and set(shown) <= train, "the rewriter reads training rows only"


def test_a_killed_search_asks_for_nothing_twice(tmp_path: Path, tiny_folder: Path) -> None:
    spec = PromptsSpec(search=6)
    project = project_of(tmp_path / "project", tiny_folder, spec)
    killed, resumed, again = base_of(project, stops_after=100), base_of(project), base_of(project, stops_after=0)
    with pytest.raises(KeyboardInterrupt):
        searched_opponent(project, prepared_of(project, killed))
    found = searched_opponent(project, prepared_of(project, resumed))[1]
    answered = 100 - 100 % len(prepared_of(project, again).validation)  # a call that was cut off kept nothing
    assert max(resumed.asked.values()) == 1 and sum(resumed.asked.values()) == found.completions - answered
    assert searched_opponent(project, prepared_of(project, again))[1] == found and not again.asked


def test_a_tuned_candidate_begins_with_the_prompt_it_was_tuned_with(tmp_path: Path, tiny_folder: Path) -> None:
    project = project_of(tmp_path / "project", tiny_folder, PromptsSpec(search=4))
    prepared = prepared_of(project, base_of(project))
    tuned = Candidate(
        name="tuned-lora",
        kind="adapter",
        prompt=steps.PLAIN,
        generation=prepared.settings,
        model=project.model,
        weights_sha256="0",
    )
    search = prompt_search(project, prepared, tuned, prepared.base)
    assert search.trials[0].prompt == steps.PLAIN and search.trials[0].length == 0 and len(search.trials) == 4
    assert search.candidate.kind == "adapter" and search.candidate.weights_sha256 == "0"


def test_a_file_without_prompts_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    project = project_of(tmp_path / "project", tiny_folder, PromptsSpec(search=4, files=["provetune.yaml"]))
    with pytest.raises(SpecError, match=r"prompts.files: provetune.yaml: .*provetune import promptfoo"):
        searched_opponent(project, prepared_of(project, base_of(project)))


@pytest.mark.parametrize("given", [{"search": 4, "rewrites": 4}, {"rewrites": 1}, {"files": ["a.json"]}, {"completions": 100}])
def test_a_search_that_cannot_be_meant_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="search"):
        PromptsSpec.model_validate(given)
