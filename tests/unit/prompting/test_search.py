"""The search for a prompt: it finds what is planted, cheaply; it stays within its budget; it says what its luck is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from provetune.errors import RunFailed, SpecError
from provetune.prompting.halving import rungs
from provetune.prompting.proposals import Proposal, Refused, Rewriting
from provetune.prompting.search import SearchBudget, search_prompts
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import Message
from provetune.records.prompt_search import PromptSearch
from tests.unit.prompting.trials import ROWS, Truth, proposal, request_of
from tests.unit.records_by_hand import examples_of

WORDS = [f"wording {n}" for n in range(27)]


def test_the_planted_best_prompt_is_found_at_a_fraction_of_the_cost() -> None:
    found, full = 0, len(WORDS) * len(ROWS)
    for seed in range(20):
        truth = Truth({"wording 19": 0.9}, usual=0.6, seed=seed)
        search = search_prompts(request_of(WORDS, truth))
        assert search.completions == len(truth.asked) == 27 * 32 + 9 * 64 + 3 * 192 < full / 3
        found += search.trials[search.winner].prompt.system == "wording 19"
    assert found >= 19


def test_rungs_are_nested_and_complete() -> None:
    truth = Truth()
    search = search_prompts(request_of(WORDS, truth))
    assert search.rung_rows == (32, 96, 288) and rungs(27, 288) == ((32, 27), (96, 9), (288, 3))
    assert [sum(trial.rung >= number for trial in search.trials) for number in range(3)] == [27, 9, 3]
    for trial in search.trials:
        assert trial.rows == search.rung_rows[trial.rung] == trial.score.n
        asked = {row for words, row in truth.asked if words == trial.prompt.system}
        assert len(asked) == trial.rows and asked <= {row for words, row in truth.asked if words == search.candidate.prompt.system}


def test_rows_of_one_group_are_never_parted() -> None:
    rows = [row.model_copy(update={"group": str(place % 48)}) for place, row in enumerate(ROWS)]
    truth = Truth()
    search = search_prompts(replace(request_of(WORDS, truth), validation=rows))
    groups = {row.id: row.group for row in rows}
    for trial in search.trials:
        asked = [groups[row] for words, row in truth.asked if words == trial.prompt.system]
        assert all(asked.count(group) == 6 for group in set(asked))
    assert search.free_gain.n == 288 and search.rung_rows == (36, 96, 288)


def test_the_same_request_gives_the_same_record_and_another_seed_other_rows() -> None:
    first, again = (search_prompts(request_of(WORDS, Truth())) for _ in range(2))
    other = search_prompts(replace(request_of(WORDS, Truth()), seed=8))
    assert first == again and PromptSearch.from_json(first.to_json()) == first
    assert [t.score for t in first.trials] != [t.score for t in other.trials]


def test_equal_scores_go_to_the_shorter_prompt() -> None:
    truth = Truth(usual=1.0)
    search = search_prompts(request_of(["three words long", "two words", "also two"], truth))
    assert search.candidate.prompt.system == "two words"


@pytest.mark.parametrize("limit", [288, 600, 1000, 2015, 2016, 5000])
def test_completions_stay_within_the_budget(limit: int) -> None:
    truth = Truth()
    search = search_prompts(request_of(WORDS, truth, SearchBudget(27, completions=limit)))
    assert len(truth.asked) == search.completions <= limit
    assert (len(search.trials) == 27) == (limit >= 2016)
    assert ("completions pays no more" in search.stopped_because) == (limit < 2016)
    assert search.trials[search.winner].rows == 288


def test_a_budget_below_one_prompt_is_refused() -> None:
    with pytest.raises(SpecError, match="prompts.completions: found 287, wanted at least 288"):
        search_prompts(request_of(WORDS, Truth(), SearchBudget(27, completions=287)))
    with pytest.raises(SpecError, match="found 0 prompts to try"):
        search_prompts(request_of([], Truth()))


def test_the_number_of_prompts_is_kept_and_said() -> None:
    search = search_prompts(request_of(WORDS, Truth(), SearchBudget(10)))
    assert len(search.trials) == search.max_prompts == 10
    assert search.stopped_because == "the budget of prompts is used up"
    assert search_prompts(request_of(WORDS, Truth(), SearchBudget(30))).stopped_because == "every proposal was tried"


def test_what_cannot_be_tried_is_counted() -> None:
    rows = examples_of(["refund"] * 288)
    told = rows[5].model_copy(update={"messages": (Message(role="user", content="My card  was eaten by the machine"), rows[5].messages[1])})
    shot = (Message(role="user", content="Question 7"), Message(role="assistant", content="refund"))
    thought = (Message(role="user", content="question 9\n\nThink."), Message(role="assistant", content="Answer: refund"))
    thinking = Prompt(strategy="few-shot+chain-of-thought", system="x", shots=(thought,), turn="Think.", answer_marker="Answer:")
    proposals: list[Proposal | Refused] = [
        proposal("wording 1"),
        proposal("wording 1"),
        proposal("Say refund for: my card was eaten by THE machine."),
        Proposal(Prompt(strategy="few-shot", system="x", shots=(shot,)), "by hand"),
        Refused("found room for 0 of 8 shots"),
        Proposal(thinking, "by hand"),
        proposal("a b c d e f g"),
        proposal("wording 2"),
    ]
    request = replace(request_of([], Truth(), SearchBudget(5)), proposals=proposals, validation=[*rows[:5], told, *rows[6:]], room=6)
    search = search_prompts(request)
    assert [trial.prompt.system for trial in search.trials] == ["wording 1", "wording 2"]
    assert search.left_out == (
        "2 not tried: a shot is a held-out row",
        "1 not tried: found room for 0 of 8 shots",
        "1 not tried: the same prompt as one before",
        "2 not tried: too long for the model beside the longest row",
    )
    longer = search_prompts(replace(request, room=None)).left_out
    assert "1 not tried: words of a held-out row stand in it" in longer


def test_a_prompt_that_is_not_measured_wins_nothing() -> None:
    truth = Truth({"wording 1": 0.2}, silent=frozenset({"wording 0"}))
    search = search_prompts(request_of(["wording 0", "wording 1"], truth))
    assert search.candidate.prompt.system == "wording 1"
    assert search.trials[0].score.value is None and search.trials[0].not_measured == 288
    assert search.free_gain.value == pytest.approx(0, abs=0.002), "one measured prompt is no choice"
    with pytest.raises(RunFailed, match="none of 1 prompts could be measured"):
        search_prompts(request_of(["wording 0"], truth))


def test_rewritings_of_the_leader_join_the_first_rung() -> None:
    asked: list[tuple[str, int]] = []

    def rewrite(leader: Candidate, wanted: int) -> Rewriting:
        asked.append((leader.prompt.system or "", wanted))
        return Rewriting((proposal("wording 3"), proposal("planted"), proposal("one too many")), 66, 5_000, 300, ("1 row had no answer",))

    truth = Truth({"planted": 0.95, "wording 3": 0.85}, usual=0.5)
    request = replace(request_of(WORDS, truth, SearchBudget(20, rewrites=2)), rewrite=rewrite, cost_usd=lambda asked, written: asked / 1e6)
    search = search_prompts(request)
    assert asked == [("wording 3", 2)]
    assert [t.prompt.system for t in search.trials] == [*WORDS[:18], "planted", "one too many"]
    assert search.candidate.prompt.system == "planted"
    assert search.completions == len(truth.asked) + 66 and search.left_out[-1] == "1 row had no answer"
    assert search.prompt_tokens == 10 * len(truth.asked) + 5_000 and search.completion_tokens == len(truth.asked) + 300
    assert search.cost_usd == pytest.approx(search.prompt_tokens / 1e6)


def test_the_free_gain_is_what_choosing_among_equals_gained() -> None:
    gained, told = [], []
    for seed in range(30):
        search = search_prompts(request_of(WORDS, Truth(seed=seed)))
        score = search.trials[search.winner].score.value
        assert score is not None and search.free_gain.value is not None
        gained.append(score - 0.7)
        told.append(search.free_gain.value)
    chance = 3 * float(np.std(gained)) / np.sqrt(len(gained))
    assert float(np.mean(told)) == pytest.approx(float(np.mean(gained)), abs=chance)
    assert float(np.mean(told)) > 0.02
