"""Who takes part beside the tuned model, and the tuned model under each of their prompts."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.models.lazy import LazyGenerator
from provetune.models.linear import LinearClassifier
from provetune.records.candidate import Candidate
from provetune.records.prompt_search import SEARCHED, PromptSearch
from provetune.workflow import steps
from provetune.workflow.contender import Contender, best_of
from provetune.workflow.endpoints import endpoint_candidates
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.prompt_search import prompt_search, searched_opponent
from provetune.workflow.prompts import with_shots


def opponents(project: Project, prepared: Prepared, prompts: dict[str, list[Candidate]]) -> tuple[list[Contender], PromptSearch | None]:
    """One contender of each strategy and each endpoint, chosen on validation, and, for a classification, the linear classifier.

    With them the search for a prompt, where the spec asks for one: what it found is one more contender.
    """
    remote = {baseline.called for baseline in project.spec.baselines if baseline.endpoint is not None}
    found = [best_of(project, prepared, own, prepared.base) for name, own in prompts.items() if name not in remote]
    for variants, endpoint in endpoint_candidates(project, prompts):
        found.append(best_of(project, prepared, variants, with_shots(project, prepared.train, endpoint), endpoint))
    search = None
    if project.spec.prompts.search:
        searched, search = searched_opponent(project, prepared)
        found.append(searched)
    if project.spec.task.type == "classify":
        candidate = steps.linear_candidate(prepared.train, prepared.settings)
        found.append(best_of(project, prepared, [candidate], LazyGenerator(lambda: LinearClassifier(prepared.train))))
    return found, search


def under_each_prompt(
    project: Project, prepared: Prepared, tuned: Contender, beside: Sequence[Contender]
) -> tuple[Contender, PromptSearch | None]:
    """A tuned model with the prompt it was tuned with, the winner of every strategy, and what a search of its own finds.

    That is what prompting adds after tuning; the best on validation takes part in the proof.
    """
    shown = with_shots(project, prepared.train, tuned.generator)
    prompted = [
        tuned.candidate.model_copy(
            update={
                "name": f"{tuned.candidate.name}+{opponent.candidate.name}",
                "prompt": opponent.candidate.prompt,
                "generation": opponent.candidate.generation,
            }
        )
        for opponent in beside
        if opponent.candidate.kind == "prompt" and opponent.candidate.name != SEARCHED
    ]
    variants, search = [tuned.candidate, *prompted], None
    if project.spec.prompts.search:
        named = tuned.candidate.model_copy(update={"name": f"{tuned.candidate.name}+{SEARCHED}"})
        search = prompt_search(project, prepared, named, shown)
        variants.append(search.candidate)
    return best_of(project, prepared, variants, shown), search
