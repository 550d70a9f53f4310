"""Asking candidates: prompts as they are sent, answers behind a marker, labels by their likelihood, and bias taken out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from provetune.errors import SpecError
from provetune.models.asking import CONTENT_FREE, ask
from provetune.models.lazy import LazyGenerator
from provetune.models.linear import LinearClassifier
from provetune.models.scripted import ScriptedGenerator
from provetune.protocols import Completion, Progress
from provetune.records.candidate import Candidate, GenerationSettings, Prompt, SimilarShots
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick, measure
from tests.unit.records_by_hand import LABELS, examples_of

SCORED = GenerationSettings(choices=LABELS, scored=True)
REASONED = Prompt(strategy="chain-of-thought", system="Sort.", turn="Think first.", answer_marker="Answer:")


def candidate(prompt: Prompt, settings: GenerationSettings) -> Candidate:
    return Candidate(name="prompted", kind="prompt", prompt=prompt, generation=settings)


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def logs(chances: Sequence[float]) -> dict[str, float]:
    return dict(zip(LABELS, map(math.log, chances), strict=True))


class Listening:
    """Writes nothing of use and remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ...]] = []

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        self.sent += [tuple(f"{m.role}: {m.content}" for m in messages) for messages in prompts]
        return [Completion("x", 1, 1, True) for _ in prompts]


class TestAnswers:
    ROWS = examples_of(["refund", "billing", "refund", "delivery"])

    def measured(self, texts: Sequence[str]) -> tuple[list[float], float | None]:
        script = ScriptedGenerator({f"question {k}\n\nThink first.": text for k, text in enumerate(texts)})
        evaluation, predictions = measure(
            candidate(REASONED, GenerationSettings()), script, self.ROWS, Yardstick("classify", LABELS, "test"), silent
        )
        assert [p.text for p in predictions] == list(texts)  # thoughts are kept
        return [row[0] for row in evaluation.observations["accuracy"] if row is not None], evaluation.parsed.value

    def test_what_stands_after_the_last_marker_counts(self) -> None:
        texts = ["It may be billing. Answer: refund", "Answer: refund? No.\n**Answer:** billing\nSo it is.", "refund", "answer: Delivery."]
        assert self.measured(texts) == ([1.0, 1.0, 0.0, 1.0], 0.75)

    def test_an_answer_that_is_no_label_is_wrong_and_counted(self) -> None:
        assert self.measured(["Answer:", "Answer: all of them", "", "Answer: delivery"]) == ([0.0, 0.0, 0.0, 1.0], 0.25)


class TestScored:
    ROWS = examples_of(["refund", "billing", "delivery"])
    NATS: Mapping[str, Mapping[str, float]] = {
        "question 0": logs([0.1, 0.2, 0.3]),
        "question 1": logs([0.3, 0.2, 0.1]),
    }

    def test_the_likeliest_label_is_the_completion(self) -> None:
        found = ask(candidate(Prompt(strategy="plain"), SCORED), ScriptedGenerator({}, self.NATS), self.ROWS, silent)
        assert [c.text for c in found.completions] == ["refund", "billing", None]
        assert found.probabilities[0] == pytest.approx((1 / 6, 1 / 3, 1 / 2)) and found.probabilities[2] == ()
        assert found.completions[2].error == "not in the script" and found.prior == ()

    def test_scoring_counts_what_was_not_scored(self) -> None:
        evaluation, _ = measure(
            candidate(Prompt(strategy="plain"), SCORED),
            ScriptedGenerator({}, self.NATS),
            self.ROWS,
            Yardstick("classify", LABELS, "test"),
            silent,
        )
        assert evaluation.not_measured == 1 and evaluation.summary["accuracy"].value == 1.0

    def test_who_cannot_say_is_refused(self) -> None:
        for generator in (LinearClassifier(self.ROWS), LazyGenerator(lambda: LinearClassifier(self.ROWS))):
            with pytest.raises(SpecError, match=r"LinearClassifier does not say how likely .* constrained or free"):
                ask(candidate(Prompt(strategy="plain"), SCORED), generator, self.ROWS, silent)

    @pytest.mark.parametrize(
        "settings",
        [{"scored": True}, {"calibration": "batch", "choices": LABELS}, {"scored": True, "choices": LABELS, "temperature": 1.0}],
    )
    def test_settings_that_contradict_themselves(self, settings: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="found "):
            GenerationSettings.model_validate(settings)


class TestCalibration:
    """A model that prefers `billing` whatever it is asked: by prompting alone it is at chance, without its bias it is right."""

    ROWS = examples_of([LABELS[k % 3] for k in range(30)])
    BIAS = (0.9, 0.07, 0.03)

    def biased(self) -> ScriptedGenerator:
        def chances(label: str | None) -> list[float]:
            likely = [b * (6.0 if one == label else 1.0) for one, b in zip(LABELS, self.BIAS, strict=True)]
            return [value / sum(likely) / 10 for value in likely]

        said = {row.prompt_text: logs(chances(row.label)) for row in self.ROWS}
        return ScriptedGenerator({}, said | {text: logs(chances(None)) for text in CONTENT_FREE})

    def accuracy(self, settings: GenerationSettings) -> float | None:
        evaluation, _ = measure(
            candidate(Prompt(strategy="plain"), settings), self.biased(), self.ROWS, Yardstick("classify", LABELS, "test"), silent
        )
        return evaluation.summary["accuracy"].value

    def test_a_planted_bias_is_removed(self) -> None:
        assert self.accuracy(SCORED) == pytest.approx(1 / 3)
        assert self.accuracy(SCORED.model_copy(update={"calibration": "contextual"})) == 1.0
        assert self.accuracy(SCORED.model_copy(update={"calibration": "batch"})) == 1.0

    def test_the_prior_stands_in_the_record(self) -> None:
        for calibration, prior in (("contextual", self.BIAS), ("batch", None)):
            settings = SCORED.model_copy(update={"calibration": calibration})
            found = ask(candidate(Prompt(strategy="plain"), settings), self.biased(), self.ROWS, silent)
            assert sum(found.prior) == pytest.approx(1.0) and (prior is None or found.prior == pytest.approx(prior))

    def test_contextual_asks_each_context_once(self) -> None:
        class Counted(ScriptedGenerator):
            calls = 0

            def loglikelihood(self, prompts, choices, progress):  # type: ignore[no-untyped-def]
                Counted.calls += len(prompts)
                return super().loglikelihood(prompts, choices, progress)

        settings = SCORED.model_copy(update={"calibration": "contextual"})
        generator = Counted({}, self.biased().likelihoods)
        ask(candidate(Prompt(strategy="plain"), settings), generator, self.ROWS, silent)
        assert Counted.calls == len(self.ROWS) + len(CONTENT_FREE)

    def test_a_content_free_prompt_that_cannot_be_scored(self) -> None:
        generator = ScriptedGenerator({}, {row.prompt_text: logs([0.2, 0.2, 0.2]) for row in self.ROWS})
        with pytest.raises(SpecError, match="prompt without content could not be scored .* use batch or none"):
            ask(candidate(Prompt(strategy="plain"), SCORED.model_copy(update={"calibration": "contextual"})), generator, self.ROWS, silent)

    def test_nothing_measured_has_no_prior(self) -> None:
        for calibration in ("contextual", "batch"):
            settings = SCORED.model_copy(update={"calibration": calibration})
            found = ask(candidate(Prompt(strategy="plain"), settings), ScriptedGenerator({}), self.ROWS, silent)
            assert found.prior == () and all(c.text is None for c in found.completions)


class TestShotsOfTheRow:
    PROMPT = Prompt(
        strategy="few-shot+chain-of-thought",
        system="Sort.",
        turn="Think first.",
        answer_marker="Answer:",
        similar=SimilarShots(k=2, embedder="by hand", pool_sha256="00", room=100),
    )

    class Picking(Listening):
        def pick(self, prompt: Prompt, examples: Sequence[Example]) -> list[tuple[Example, ...]]:
            return [tuple(TestAnswers.ROWS[:1]) if example.id == "r1" else () for example in examples]

    def test_they_stand_before_it_and_in_its_prediction(self) -> None:
        generator = self.Picking()
        evaluation, predictions = measure(
            candidate(self.PROMPT, GenerationSettings()),
            generator,
            TestAnswers.ROWS[1:3],
            Yardstick("classify", LABELS, "test"),
            silent,
        )
        assert generator.sent == [
            (
                "system: Sort.",
                "user: question 0\n\nThink first.",
                "assistant: Answer: refund",
                "user: question 1\n\nThink first.",
            ),
            ("system: Sort.", "user: question 2\n\nThink first."),
        ]
        assert [p.shot_ids for p in predictions] == [("r0",), ()] and evaluation.shots_left_out == 3

    def test_without_training_rows_they_are_refused(self) -> None:
        with pytest.raises(SpecError, match="not at hand"):
            ask(candidate(self.PROMPT, GenerationSettings()), Listening(), TestAnswers.ROWS, silent)


def test_what_is_not_asked_for_stays_out_of_the_record() -> None:
    plain = candidate(Prompt(strategy="few-shot", system="a"), GenerationSettings()).model_dump(mode="json")
    assert set(plain["prompt"]) == {"strategy", "system", "shots", "shot_ids"}
    assert set(plain["generation"]) == {"max_new_tokens", "choices"}


@pytest.mark.parametrize("name", ["zero-shot+few-shot", "role+role", "few", "", "few-shot+", "plain+role"])
def test_a_strategy_that_there_is_not(name: str) -> None:
    with pytest.raises(ValueError, match="wanted"):
        Prompt(strategy=name)


def test_how_a_completion_is_decoded_has_a_name() -> None:
    schema = GenerationSettings(json_schema="{}")
    assert [s.decoding for s in (GenerationSettings(), GenerationSettings(choices=LABELS), schema, SCORED)] == [
        "free",
        "constrained",
        "constrained",
        "scored",
    ]
