"""The search for the best prompt of one model on validation, within a budget: successive halving over growing subsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from provetune.errors import RunFailed, SpecError
from provetune.hashing import seed_of
from provetune.metrics import metric_named
from provetune.prompting.halving import Rung, completions_of, nested, planned
from provetune.prompting.proposals import Proposal, Refused, Rewriting
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.records.prompt_search import PromptSearch, PromptTrial
from provetune.scoring import group_numbers, measure_of, observation_array
from provetune.stats.estimate import Estimate
from provetune.stats.selection import free_gain, joint_deviations

Measure = Callable[[Candidate, Sequence[Example]], Evaluation]
UNMEASURED_LIMIT = 0.02
"""A prompt with a larger share of rows that were not measured ranks behind all others."""
VERBATIM_WORDS = 6
"""A held-out text of so many words or more may not stand in a prompt; fewer words may stand there by chance."""


@dataclass(frozen=True)
class SearchBudget:
    """At most so many prompts, of which `rewrites` are left for the rewriter, and at most so many completions in all (None: no limit)."""

    prompts: int
    completions: int | None = None
    rewrites: int = 0


@dataclass(frozen=True)
class SearchRequest:
    """One model's search. `template` is the candidate without its prompt; the first proposal should be the prompt it has without search.

    `measure` scores a candidate on rows of validation; `length` gives a prompt's tokens; `rewrite` writes proposals from a prompt's
    failures on training rows, asking for at most `rewriting_completions`; `held_out` are rows whose words no prompt may hold, beside
    those of validation; a prompt longer than `room` tokens is not tried; `cost_usd` prices prompt and completion tokens.
    """

    template: Candidate
    proposals: Iterable[Proposal | Refused]
    validation: Sequence[Example]
    measure: Measure
    metric: str
    budget: SearchBudget
    seed: int
    length: Callable[[Prompt], int]
    room: int | None = None
    held_out: Sequence[Example] = ()
    rewrite: Callable[[Candidate, int], Rewriting] | None = None
    rewriting_completions: int = 0
    cost_usd: Callable[[int, int], float] | None = None
    confidence: float = 0.95


@dataclass
class _Trial:
    proposal: Proposal
    length: int
    rung: int = -1
    measured: list[Evaluation] = field(default_factory=list)


def search_prompts(request: SearchRequest) -> PromptSearch:
    """Try prompts on growing parts of validation, keep the best third each time, and report every one that was tried.

    Equal scores go to the shorter prompt, then to the one proposed first. The same request gives the same record. Raises SpecError
    on a budget that cannot pay one prompt on all rows or leaves no proposal, RunFailed where no prompt could be measured.
    """
    proposed = _Admitted(request)
    budget = request.budget
    rewrites = budget.rewrites if request.rewrite is not None else 0
    proposals = proposed.first(max(1, budget.prompts - rewrites))
    plan, rewrites = _affordable(request, len(proposals), min(rewrites, budget.prompts - len(proposals)))
    alive = [_Trial(p, request.length(p.prompt)) for p in proposals[: plan[0].prompts - rewrites]]
    cut, tried, rewriting = len(alive) < len(proposals), list(alive), Rewriting()
    for number, rung in enumerate(plan):
        _measure(request, alive, rung.part, number)
        if number == 0 and request.rewrite is not None and rewrites:
            rewriting = request.rewrite(_candidate(request, _ranked(request, alive)[0]), rewrites)
            fresh = [_Trial(p, request.length(p.prompt)) for p in proposed.of(rewriting.proposals, rewrites)]
            _measure(request, fresh, rung.part, number)
            tried += fresh
            alive = [*alive, *fresh]
        alive = _ranked(request, alive)[: plan[number + 1].prompts if number + 1 < len(plan) else 1]
    if alive[0].measured[-1].not_measured == len(plan[-1].part):
        raise RunFailed(f"prompt search: none of {len(tried)} prompts could be measured; the endpoint or model says for each row why")
    stopped = f"the budget of {budget.completions:,} completions pays no more prompts" if cut else proposed.why
    return _record(request, tried, alive[0], [len(rung.part) for rung in plan], (rewriting, stopped, proposed.left_out))


def _affordable(request: SearchRequest, templates: int, rewrites: int) -> tuple[list[Rung], int]:
    """The rungs for as many prompts as the budget of completions pays, and how many of them are rewrites."""
    rows, limit = nested(request.validation, request.seed), request.budget.completions
    if not templates or not rows:
        raise SpecError(f"prompt search: found {templates} prompts to try on {len(rows)} validation rows, wanted at least one of each")
    for count in range(templates + rewrites, 0, -1):
        plan, written = planned(count, rows), min(rewrites, count - 1)
        if limit is None or completions_of(plan) + bool(written) * request.rewriting_completions <= limit:
            return plan, written
    raise SpecError(f"prompts.completions: found {limit:,}, wanted at least {len(rows):,}: one prompt on all validation rows; raise it")


def _measure(request: SearchRequest, trials: Iterable[_Trial], part: Sequence[Example], number: int) -> None:
    for trial in trials:
        trial.measured.append(request.measure(_candidate(request, trial), part))
        trial.rung = number


def _candidate(request: SearchRequest, trial: _Trial) -> Candidate:
    proposal, own = trial.proposal, request.template.generation
    return request.template.model_copy(update={"prompt": proposal.prompt, "generation": proposal.generation or own})


def _ranked(request: SearchRequest, trials: Sequence[_Trial]) -> list[_Trial]:
    """Best first; sorting is stable, so that what was proposed first stays first."""
    sign = 1 if metric_named(request.metric).higher_is_better else -1

    def rank(trial: _Trial) -> tuple[bool, float, int]:
        last = trial.measured[-1]
        value = last.summary[request.metric].value
        return value is None or not _is_measured(last), -sign * (value or 0.0), trial.length

    return sorted(trials, key=rank)


class _Admitted:
    """Proposals that may be tried: each prompt once, none with words of held-out rows. What is refused is counted."""

    def __init__(self, request: SearchRequest) -> None:
        self._request = request
        held_out = [_plain(e.prompt_text) for e in (*request.validation, *request.held_out)]
        self._asked = set(held_out)
        self._long = [text for text in held_out if text.count(" ") >= VERBATIM_WORDS - 1]
        self._proposals = iter(request.proposals)
        self._seen: set[str] = set()
        self._refused: Counter[str] = Counter()
        self.why = "every proposal was tried"

    def first(self, count: int) -> list[Proposal]:
        """Up to `count` of the request's own proposals."""
        found = list(self.of(self._proposals, count))
        if len(found) == count and next(self._proposals, None) is not None:
            self.why = "the budget of prompts is used up"
        return found

    def of(self, proposals: Iterable[Proposal | Refused], count: int) -> Iterator[Proposal]:
        """The first `count` proposals that may be tried."""
        taken = 0
        for proposal in proposals:
            reason = proposal.reason if isinstance(proposal, Refused) else self._reason(proposal.prompt)
            if isinstance(proposal, Refused) or reason:
                self._refused[reason or ""] += 1
                continue
            taken += 1
            yield proposal
            if taken >= count:
                return

    def _reason(self, prompt: Prompt) -> str | None:
        """Why this prompt may not be tried."""
        text = prompt.model_dump_json(exclude={"strategy", "shot_ids", "left_out"})
        if text in self._seen:
            return "the same prompt as one before"
        self._seen.add(text)
        if self._request.room is not None and self._request.length(prompt) > self._request.room:
            return "too long for the model beside the longest row"
        return self._leak(prompt)

    def _leak(self, prompt: Prompt) -> str | None:
        if any(_plain(asked.content.removesuffix(prompt.turn or "")) in self._asked for asked, _ in prompt.shots):
            return "a shot is a held-out row"
        told = _plain(" ".join([prompt.system or "", prompt.turn or "", *(turn.content for shot in prompt.shots for turn in shot)]))
        return "words of a held-out row stand in it" if any(text in told for text in self._long) else None

    @property
    def left_out(self) -> tuple[str, ...]:
        """One line for each reason."""
        return tuple(f"{count} not tried: {reason}" for reason, count in sorted(self._refused.items()))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _record(
    request: SearchRequest,
    tried: Sequence[_Trial],
    winner: _Trial,
    sizes: Sequence[int],
    ended: tuple[Rewriting, str, tuple[str, ...]],
) -> PromptSearch:
    rewriting, stopped, left_out = ended
    trials = tuple(_trial_record(request, trial) for trial in tried)
    asked = sum(t.prompt_tokens for t in trials) + rewriting.prompt_tokens
    written = sum(t.completion_tokens for t in trials) + rewriting.completion_tokens
    return PromptSearch(
        candidate=_candidate(request, winner),
        metric=request.metric,
        seed=request.seed,
        max_prompts=request.budget.prompts,
        max_completions=request.budget.completions,
        rung_rows=tuple(sizes),
        trials=trials,
        winner=next(place for place, trial in enumerate(tried) if trial is winner),
        free_gain=_free_gain(request, tried, sizes),
        completions=sum(t.rows for t in trials) + rewriting.completions,
        prompt_tokens=asked,
        completion_tokens=written,
        cost_usd=None if request.cost_usd is None else request.cost_usd(asked, written),
        stopped_because=stopped,
        left_out=(*left_out, *rewriting.left_out),
    )


def _trial_record(request: SearchRequest, trial: _Trial) -> PromptTrial:
    last = trial.measured[-1]
    return PromptTrial(
        prompt=trial.proposal.prompt,
        origin=trial.proposal.origin,
        length=trial.length,
        rung=trial.rung,
        rows=len(last.example_ids),
        score=last.summary[request.metric],
        not_measured=last.not_measured,
        prompt_tokens=last.prompt_tokens,
        completion_tokens=last.completion_tokens,
    )


def _free_gain(request: SearchRequest, tried: Sequence[_Trial], sizes: Sequence[int]) -> Estimate:
    """Chance's part in the choice, from how the measured prompts' scores vary together on the rows of the first rung."""
    metric = metric_named(request.metric)
    trials = [trial for trial in tried if _is_measured(trial.measured[0])]
    columns = [trial.measured[0].observations[request.metric] for trial in trials]
    whole = [place for place in range(sizes[0]) if all(column[place] is not None for column in columns)]
    observed = [observation_array([row for place in whole if (row := column[place]) is not None]) for column in columns]
    groups = group_numbers([tried[0].measured[0].group_ids[place] for place in whole])
    seed = seed_of("free gain", str(request.seed))
    deviations = joint_deviations(measure_of(metric), observed, groups, seed)
    kept = [sum(trial.rung >= number for trial in trials) for number in range(1, len(sizes))]
    sign = 1 if metric.higher_is_better else -1
    return free_gain(sign * deviations, len(whole), list(zip(sizes, [*kept, 1], strict=True)), seed, request.confidence)


def _is_measured(evaluation: Evaluation) -> bool:
    return evaluation.not_measured <= UNMEASURED_LIMIT * len(evaluation.example_ids)
