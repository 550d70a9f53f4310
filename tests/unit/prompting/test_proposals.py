"""Proposals: every strategy first as it stands, shots from training rows alone, rewritings that keep the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from provetune.models.tokenizer import FolderTokenizer
from provetune.prompting import PromptRequest, prompt_of
from provetune.prompting.proposals import (
    FAILURES_SHOWN,
    Failure,
    Proposal,
    Refused,
    RewriteRequest,
    rewrite,
    template_proposals,
)
from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings, Prompt
from provetune.records.data import Message
from tests.unit.records_by_hand import LABELS, candidate_of, examples_of

TRAIN = examples_of([LABELS[k % 3] for k in range(60)])
NAMES = ("zero-shot", "few-shot", "role", "role+few-shot")


@pytest.fixture
def requests(tiny_tokenizer: FolderTokenizer) -> list[PromptRequest]:
    first = PromptRequest(task="classify", labels=LABELS, train=TRAIN, tokenizer=tiny_tokenizer, room=3000)
    return [first, replace(first, shots=3), replace(first, pick="random", seed=8)]


def test_strategies_come_first_as_they_stand(requests: list[PromptRequest]) -> None:
    found = list(template_proposals(NAMES, requests, seed=7))
    proposals = [one for one in found if isinstance(one, Proposal)]
    assert [one.prompt for one in proposals[:4]] == [prompt_of(name, requests[0]) for name in NAMES]
    # two strategies without shots in four wordings, two with shots in four wordings for each of three requests
    assert len(proposals) == len(found) == 2 * 4 + 2 * 4 * 3
    assert len({one.prompt.model_dump_json() for one in proposals}) == len(proposals)
    assert {shot for one in proposals for shot in one.prompt.shot_ids} <= {row.id for row in TRAIN}
    assert all(label in (one.prompt.system or "") for one in proposals for label in LABELS)


def test_the_order_is_the_seed_s(requests: list[PromptRequest]) -> None:
    first, again, other = (list(template_proposals(NAMES, requests, seed)) for seed in (7, 7, 8))
    assert first == again and first != other and {str(one) for one in first} == {str(one) for one in other}


def test_what_has_no_room_is_refused_with_its_reason(requests: list[PromptRequest]) -> None:
    found = list(template_proposals(("zero-shot", "few-shot"), [replace(requests[0], room=1)], seed=7))
    refused = [one.reason for one in found if isinstance(one, Refused)]
    assert len(refused) == 4 and all("found room for 0 of 8 shots" in reason for reason in refused)


class Writer:
    """Writes the given texts, one after the other, and remembers what it was asked."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        self.texts = list(texts)
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        self.asked += [messages[-1].content for messages in prompts]
        assert settings.temperature > 0, "equal questions are to get different answers"
        return [Completion(self.texts.pop(0), 100, 10, True) for _ in prompts]


def test_a_rewriting_reads_failures_and_keeps_the_labels() -> None:
    failures = [Failure(row, "wrong") for row in TRAIN[:20]]
    writer = Writer([" Sort it into billing, delivery or refund. ", "Be careful.", None])
    leader = candidate_of("searched").model_copy(update={"prompt": Prompt(strategy="role", system="You sort.", turn="Think.")})
    found = rewrite(RewriteRequest(leader, failures, LABELS, 3, seed=7), writer, lambda *_: None)
    first, second, third = found.proposals
    assert isinstance(first, Proposal) and isinstance(second, Proposal) and isinstance(third, Refused)
    assert first.prompt == leader.prompt.model_copy(update={"system": "Sort it into billing, delivery or refund."})
    assert second.prompt.system == "Be careful.\nLabels: billing, delivery, refund"
    assert (found.completions, found.prompt_tokens, found.completion_tokens) == (3, 300, 30)
    for asked in writer.asked:
        assert "You sort." in asked and asked.count("Should have been:") == FAILURES_SHOWN
    assert len(set(writer.asked)) == 3
