"""Strategies put together from parts: their words, their shots, what they refuse, and texts of a project in place of ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from provetune.chat import prompt_messages
from provetune.errors import SpecError
from provetune.models.embedding import embedder
from provetune.models.scripted import ScriptedGenerator
from provetune.models.tokenizer import FolderTokenizer
from provetune.prompting import PromptRequest, WithShots, copy_templates, instruction, load_templates, prompt_of
from provetune.prompting.strategies import ROLES, shot_tokens
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.similarity import jaccard, normalise, shingles
from provetune.store import content_sha256
from tests.unit.records_by_hand import LABELS, examples_of

SCHEMA = {
    "properties": {
        "city": {"type": "string", "description": "where it is"},
        "kind": {"enum": ["pub", "café"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "object", "properties": {"name": {"type": ["string", "null"]}}},
    },
    "required": ["city"],
}
TOPICS = {
    "refund": "please return the money for order",
    "billing": "the invoice shows a charge of",
    "delivery": "the parcel has not come to",
}


def topics(count: int) -> list[Example]:
    """Rows of three topics in other words each; every label is the topic's."""
    return [
        Example(
            id=f"t{k}",
            messages=(
                Message(role="user", content=f"{TOPICS[LABELS[k % 3]]} {k * 7919 % 997} {'abcdefgh'[k % 8] * 5}"),
                Message(role="assistant", content=LABELS[k % 3]),
            ),
            label=LABELS[k % 3],
        )
        for k in range(count)
    ]


TRAIN = topics(60)


@pytest.fixture
def asked(tiny_tokenizer: FolderTokenizer) -> PromptRequest:
    return PromptRequest(
        task="classify", labels=LABELS, train=TRAIN, tokenizer=tiny_tokenizer, room=2000, pool_sha256=content_sha256(TRAIN)
    )


class Words:
    """Places a text by its first word."""

    name = "first words"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        known = {text.split()[1]: place for place, text in enumerate(TOPICS.values())}
        return np.array([np.eye(3)[known.get(text.split()[1], 0)] for text in texts], dtype=np.float32)


class TestWords:
    def test_the_words_of_the_first_version_stand(self, asked: PromptRequest) -> None:
        wanted = "Classify the message. Reply with exactly one of these labels and nothing else: billing, delivery, refund"
        assert prompt_of("zero-shot", asked) == Prompt(strategy="zero-shot", system=wanted)

    def test_parts_add_up_in_any_order(self, asked: PromptRequest) -> None:
        a, b = prompt_of("role+few-shot", asked), prompt_of("few-shot+role", asked)
        assert a.model_copy(update={"strategy": b.strategy}) == b and a.shots
        assert (a.system or "").startswith(f"You are {ROLES['classify']}.\n\nClassify")
        assert (prompt_of("role", replace(asked, role="a clerk")).system or "").startswith("You are a clerk.\n\n")

    def test_thoughts_come_before_a_marked_answer(self, asked: PromptRequest) -> None:
        found = prompt_of("few-shot+chain-of-thought", replace(asked, shots=2))
        assert found.answer_marker == "Answer:" and "nothing else" not in (found.system or "")
        assert found.turn is not None and '"Answer:"' in found.turn
        for question, answer in found.shots:
            assert question.content.endswith(f"\n\n{found.turn}") and answer.content.startswith("Answer: ")
        sent = prompt_messages(found, TRAIN[0])
        assert sent[-1].content == f"{TRAIN[0].prompt_text}\n\n{found.turn}"

    def test_labels_are_described(self, asked: PromptRequest) -> None:
        told = replace(asked, descriptions={"refund": "wants money back", "billing": "a wrong invoice"})
        lines = (prompt_of("described", told).system or "").splitlines()
        assert lines[1:] == ["- billing: a wrong invoice", "- delivery", "- refund: wants money back"]
        with pytest.raises(SpecError, match=r"task\.descriptions: 'other' is no label; wanted one of billing"):
            prompt_of("described", replace(asked, descriptions={"other": "x"}))
        with pytest.raises(SpecError, match=r"described: found nothing that describes a task classify; wanted task\.descriptions"):
            prompt_of("described", asked)

    def test_a_schema_is_described(self, asked: PromptRequest) -> None:
        told = replace(asked, task="extract", labels=(), schema=json.dumps(SCHEMA))
        assert instruction(told, described=True).splitlines()[1:] == [
            '- "city" (string, required): where it is',
            '- "kind" (one of "pub", "café", only if it is said)',
            '- "tags" (list of strings, only if it is said)',
            '- "owner" (object, only if it is said)',
            '  - "name" (string or null, only if it is said)',
        ]

    @pytest.mark.parametrize("task", ["classify", "extract", "generate", "chat"])
    @pytest.mark.parametrize("strategy", ["zero-shot", "role", "chain-of-thought", "few-shot", "role+few-shot+chain-of-thought"])
    def test_every_task_has_every_strategy(self, asked: PromptRequest, task: str, strategy: str) -> None:
        request = replace(asked, task=task, labels=LABELS if task == "classify" else ())
        found = prompt_of(strategy, request)
        assert found.system and bool(found.shots) == ("few-shot" in strategy) and "{" not in found.system + (found.turn or "")

    @pytest.mark.parametrize("name", ["plain", "few", "zero-shot+few-shot", "role+zero-shot+few-shot", "role+role", ""])
    def test_a_strategy_that_there_is_not(self, asked: PromptRequest, name: str) -> None:
        with pytest.raises(SpecError, match="strategy "):
            prompt_of(name, asked)


@pytest.mark.parametrize(("strategy", "wanted"), [("zero-shot", "7ba2f1f8ebc52be8"), ("few-shot", "b4332f51318d758a")])
def test_candidates_of_earlier_runs_keep_their_fingerprint(starter_tokenizer: FolderTokenizer, strategy: str, wanted: str) -> None:
    rows = examples_of([LABELS[k % 3] for k in range(60)])
    request = PromptRequest(task="classify", labels=LABELS, train=rows, tokenizer=starter_tokenizer, room=800)
    settings = GenerationSettings(choices=LABELS)
    found = Candidate(name=strategy, kind="prompt", prompt=prompt_of(strategy, request), generation=settings)
    assert found.fingerprint == wanted, "made by the version before parts, turns and scores"


class TestShots:
    def test_balanced_shows_every_label_first(self, asked: PromptRequest) -> None:
        found = prompt_of("few-shot", replace(asked, shots=7))
        assert max(Counter(answer.content for _, answer in found.shots).values()) == 3

    def test_random_is_a_plain_draw(self, asked: PromptRequest) -> None:
        drawn = Counter(
            label.content
            for seed in range(200)
            for _, label in prompt_of("few-shot", replace(asked, train=TRAIN[:30] + TRAIN[30::3], pick="random", shots=2, seed=seed)).shots
        )
        # half of the rows have the label of every third row: 200 of 400 draws, three standard deviations are 30
        assert drawn[LABELS[0]] == pytest.approx(200, abs=30)

    def test_diverse_takes_one_of_each_cluster(self, asked: PromptRequest) -> None:
        for seed in range(5):
            found = prompt_of("few-shot", replace(asked, pick="diverse", shots=3, embedder=Words(), seed=seed))
            assert sorted(answer.content for _, answer in found.shots) == list(LABELS)
        assert len(prompt_of("few-shot", replace(asked, pick="diverse", shots=8, embedder=Words())).shots) == 3, "no more than there are"

    def test_backwards(self, asked: PromptRequest) -> None:
        there, back = prompt_of("few-shot", asked), prompt_of("few-shot", replace(asked, backwards=True))
        assert there.shot_ids == back.shot_ids[::-1] and there.shots == back.shots[::-1]

    def test_what_has_no_room_is_counted(self, asked: PromptRequest) -> None:
        full = prompt_of("few-shot", asked)
        cut = prompt_of("few-shot", replace(asked, room=400))
        assert full.left_out == 0 and cut.left_out == 8 - len(cut.shots) > 0

    @pytest.mark.parametrize("pick", ["balanced", "random", "diverse", "similar"])
    def test_no_room_is_refused(self, asked: PromptRequest, pick: str) -> None:
        request = replace(asked, pick=pick, embedder=embedder(None))  # type: ignore[arg-type]
        for train, room, count in ((TRAIN, 10, 8), ((), 2000, 0)):
            with pytest.raises(SpecError, match=f"found room for 0 of {count} shots"):
                prompt_of("few-shot", replace(request, train=train, room=room))

    def test_thoughts_without_room_are_refused(self, asked: PromptRequest) -> None:
        with pytest.raises(SpecError, match="chain-of-thought: found no room for the instruction"):
            prompt_of("chain-of-thought", replace(asked, room=50))

    @pytest.mark.parametrize("pick", ["diverse", "similar"])
    def test_without_an_embedding(self, asked: PromptRequest, pick: str) -> None:
        with pytest.raises(SpecError, match=f"pick: {pick} needs an embedding"):
            prompt_of("few-shot", replace(asked, pick=pick))  # type: ignore[arg-type]


class TestSimilar:
    def picking(self, asked: PromptRequest, **changes: object) -> tuple[Prompt, WithShots]:
        request = replace(asked, pick="similar", embedder=embedder(None), **changes)  # type: ignore[arg-type]
        return prompt_of("few-shot", request), WithShots(ScriptedGenerator({}), TRAIN, embedder(None), asked.tokenizer)

    def test_each_row_gets_the_nearest_of_the_training_rows(self, asked: PromptRequest) -> None:
        prompt, generator = self.picking(asked, shots=3)
        vectors = embedder(None)
        pool = vectors.embed([row.prompt_text for row in TRAIN])
        rows = [row.model_copy(update={"id": f"v{row.id}"}) for row in topics(90)[60:]]
        for row, found in zip(rows, generator.pick(prompt, rows), strict=True):
            near, grams = pool @ vectors.embed([row.prompt_text])[0], shingles(normalise(row.prompt_text))
            other = [place for place, one in enumerate(TRAIN) if jaccard(grams, shingles(normalise(one.prompt_text))) < 0.8]
            own = [float(near[int(shot.id[1:])]) for shot in found]
            assert own == pytest.approx(sorted(near[other])[-3:], abs=1e-6), "the nearest comes last"
            assert {shot.label for shot in found} == {row.label}

    def test_the_nearest_first(self, asked: PromptRequest) -> None:
        (last, generator), (first, _) = self.picking(asked, shots=3), self.picking(asked, shots=3, backwards=True)
        rows = [row.model_copy(update={"id": f"v{row.id}"}) for row in topics(63)[60:]]
        assert [found[::-1] for found in generator.pick(last, rows)] == generator.pick(first, rows)

    def test_never_itself_a_near_duplicate_or_its_source(self, asked: PromptRequest) -> None:
        prompt, generator = self.picking(asked, shots=8)
        text = TRAIN[4].prompt_text
        rows = [
            TRAIN[4],
            Example(id="v1", messages=(Message(role="user", content=f"{text.upper()}!"), TRAIN[4].messages[-1])),
            Example(id="v2", messages=(Message(role="user", content="the invoice"), TRAIN[4].messages[-1]), meta={"source_id": "t1"}),
        ]
        for found, forbidden in zip(generator.pick(prompt, rows), ("t4", "t4", "t1"), strict=True):
            assert len(found) == 8 and forbidden not in {shot.id for shot in found}

    def test_they_fit_the_room_and_there_is_one_at_least(self, asked: PromptRequest, tiny_tokenizer: FolderTokenizer) -> None:
        room = 340
        prompt, generator = self.picking(asked, shots=8, room=room)
        assert prompt.similar is not None
        rows = [row.model_copy(update={"id": f"v{row.id}"}) for row in topics(70)[60:]]
        for found in generator.pick(prompt, rows):
            assert 1 <= len(found) < 8 and sum(shot_tokens(prompt, shot, tiny_tokenizer) for shot in found) <= prompt.similar.room
            turns = [Message(role="system", content=prompt.system or "")]
            for shot in found:
                turns += [Message(role="user", content=shot.prompt_text), Message(role="assistant", content=shot.target)]
            assert len(tiny_tokenizer.encode(tiny_tokenizer.render(turns, open_turn=False))) <= room

    def test_another_pool_or_embedding_is_refused(self, asked: PromptRequest) -> None:
        prompt, _ = self.picking(asked)
        for pool, vectors in ((TRAIN[1:], embedder(None)), (TRAIN, Words())):
            with pytest.raises(SpecError, match="the prompt picks from rows"):
                WithShots(ScriptedGenerator({}), pool, vectors, asked.tokenizer).pick(prompt, TRAIN[:1])


class TestTemplates:
    def test_every_text_is_used(self, asked: PromptRequest) -> None:
        read: set[str] = set()

        class Watched(dict[str, str]):
            def __getitem__(self, name: str) -> str:
                read.add(name)
                return super().__getitem__(name)

        texts = Watched(load_templates())
        described = ("described", "described+chain-of-thought")
        for task in ("classify", "extract", "generate", "chat"):
            told = replace(asked, task=task, templates=texts, descriptions={"refund": "x"})
            told = told if task == "classify" else replace(told, labels=(), schema=json.dumps(SCHEMA))
            for strategy in ("zero-shot", "chain-of-thought", "role", *(described if task in ("classify", "extract") else ())):
                prompt_of(strategy, told)
        assert read == {name for name in texts if not name.endswith("-wordings")} and len(read) == 12

    def test_a_projects_text_stands_in_place_of_ours(self, asked: PromptRequest, tmp_path: Path) -> None:
        (tmp_path / "classify.txt").write_text('Say {labels}. {{labels}} as {"a": "b"}.\n', encoding="utf-8")
        texts = load_templates(tmp_path)
        found = prompt_of("zero-shot", replace(asked, templates=texts))
        assert found.system == 'Say billing, delivery, refund. {labels} as {"a": "b"}.'
        assert {k: v for k, v in texts.items() if k != "classify"} == {k: v for k, v in load_templates().items() if k != "classify"}

    @pytest.mark.parametrize(
        ("name", "text", "wanted"),
        [
            ("clasify", "x", r"clasify\.txt: there is no text of this name to replace; wanted one of .*\bchain-of-thought\b"),
            ("classify", "x\n{lables}", r"classify\.txt:2: found \{lables\}, wanted one of labels"),
            ("chain-of-thought", "Think.", r"found no \{marker\}, which this text must say"),
            ("role", "You.", r"found no \{role\}"),
        ],
    )
    def test_a_text_that_cannot_be_meant(self, tmp_path: Path, name: str, text: str, wanted: str) -> None:
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
        with pytest.raises(SpecError, match=wanted):
            load_templates(tmp_path)

    def test_a_text_that_asks_for_what_the_project_lacks(self, asked: PromptRequest) -> None:
        with pytest.raises(
            SpecError, match=r"prompts/chat\.txt fills in \{schema\}, which this project does not have; it has marker, role"
        ):
            prompt_of("zero-shot", replace(asked, task="chat", labels=(), templates={**load_templates(), "chat": "{schema}"}))

    def test_copies_keep_what_was_edited(self, tmp_path: Path) -> None:
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts" / "role.txt").write_text("You act as {role}.", encoding="utf-8")
        written = copy_templates(tmp_path / "prompts")
        assert len(written) == len(load_templates()) - 1 and copy_templates(tmp_path / "prompts") == []
        assert load_templates(tmp_path / "prompts") == {**load_templates(), "role": "You act as {role}."}
