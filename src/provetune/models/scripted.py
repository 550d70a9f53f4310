"""A generator that answers from a table: for tests and for trying a flow without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provetune.protocols import Completion, Likelihoods, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


class ScriptedGenerator:
    """Answers by the last user turn; a missing entry is a completion that could not be had.

    `likelihoods` gives for a last turn the natural log-likelihood of each choice.
    """

    def __init__(self, answers: Mapping[str, str], likelihoods: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self.answers = dict(answers)
        self.likelihoods = dict(likelihoods or {})

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """The table's entry for each conversation's last turn."""
        found = []
        for done, messages in enumerate(prompts, start=1):
            text = self.answers.get(messages[-1].content)
            found.append(Completion(text, 0, 0, text is not None, None if text is not None else "not in the script"))
            progress("completions", done, len(prompts))
        return found

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """The table's numbers for each conversation's last turn."""
        found = []
        for messages, texts in zip(prompts, choices, strict=True):
            known = self.likelihoods.get(messages[-1].content, {})
            missing = [text for text in texts if text not in known]
            tokens = tuple(1 for _ in texts)
            nats = None if missing else tuple(known[text] for text in texts)
            found.append(Likelihoods(nats, tokens, 0, "not in the script" if missing else None))
        progress("likelihoods", len(prompts), len(prompts))
        return found
