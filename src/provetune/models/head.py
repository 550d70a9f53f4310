"""A classification head: one linear layer over the base's last hidden state, where the answer would begin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from provetune.chat import encode_prompt
from provetune.engine.states import last_states
from provetune.errors import ModelError
from provetune.models.transformers import TransformersGenerator
from provetune.protocols import Completion, Likelihoods, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

HEAD_FILE = "head.safetensors"


@dataclass(frozen=True)
class Head:
    """Log-odds of each label are `h weight^T + bias`; `weight` `[labels, H]`, `bias` `[labels]`, both float32."""

    labels: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor

    def save(self, folder: Path) -> None:
        """Write it into `folder`, the labels with it."""
        tensors = {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}
        save_file(tensors, folder / HEAD_FILE, {"labels": json.dumps(self.labels)})

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read it back, bit for bit; ModelError where it is of another form."""
        with safe_open(folder / HEAD_FILE, "pt") as file:
            labels = tuple(json.loads((file.metadata() or {}).get("labels", "[]")))
            found = cls(labels, file.get_tensor("weight"), file.get_tensor("bias"))
        if not labels or found.weight.shape[0] != len(labels) or found.bias.shape != (len(labels),):
            raise ModelError(f"{folder / HEAD_FILE}: found {len(labels)} labels and weights {list(found.weight.shape)}; train it again")
        return found

    def nats(self, states: torch.Tensor) -> torch.Tensor:
        """Log-probabilities `[n, labels]` of states `[..., H]`."""
        return torch.log_softmax(torch.nn.functional.linear(states, self.weight, self.bias), -1)


class HeadClassifier:
    """`Generator` and `LogLikelihood`: the head answers with a label; where other choices are given, the base answers.

    `states` is filled with the states of the prompts that were asked, for who asks again with another head.
    """

    def __init__(self, base: TransformersGenerator, head: Head, states: dict[tuple[int, ...], torch.Tensor] | None = None) -> None:
        if head.weight.shape[1] != (width := base.model.config.get_text_config().hidden_size):
            raise ModelError(f"the head was trained on states of {head.weight.shape[1]} numbers, this base has {width}; use its own base")
        self.base, self.head, self._states = base, head, states

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """The likeliest label of each conversation."""
        if settings.choices and not set(settings.choices) <= set(self.head.labels):
            return self.base.generate(prompts, settings, progress)
        allowed = [place for place, label in enumerate(self.head.labels) if not settings.choices or label in settings.choices]
        return [
            Completion(None, length, 0, False, f"the prompt has {length} tokens, more than the context")
            if nats is None
            else Completion(self.head.labels[allowed[int(nats[allowed].argmax())]], length, 0, True)
            for length, nats in self._nats(prompts, progress)
        ]

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """How likely each choice is as the label."""
        places = {label: place for place, label in enumerate(self.head.labels)}
        if not {text for texts in choices for text in texts} <= places.keys():
            return self.base.loglikelihood(prompts, choices, progress)
        return [
            Likelihoods(None if nats is None else tuple(float(nats[places[text]]) for text in texts), (1,) * len(texts), length)
            for (length, nats), texts in zip(self._nats(prompts, progress), choices, strict=True)
        ]

    def _nats(self, prompts: Sequence[Sequence[Message]], progress: Progress) -> list[tuple[int, torch.Tensor | None]]:
        """The length of each prompt and the log-probabilities of the labels after it; None for one longer than the context."""
        ids = [encode_prompt(messages, self.base.tokenizer) for messages in prompts]
        fitting = [place for place, row in enumerate(ids) if len(row) <= self.base.tokenizer.context_length]
        known = {} if self._states is None else self._states
        new = [place for place in fitting if tuple(ids[place]) not in known]
        states = last_states(self.base.model, [ids[place] for place in new], lambda done: progress("completions", done, len(new)))
        known |= zip((tuple(ids[place]) for place in new), states, strict=True)
        return [(len(row), self.head.nats(known[tuple(row)]) if tuple(row) in known else None) for row in ids]
