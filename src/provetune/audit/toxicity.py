"""Rows that a text classifier calls toxic; measured only with a classifier that has shown on HateCheck what it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provetune.audit.inputs import AuditInput, ToxicityClassifier, counted, part_text
from provetune.errors import ModelError
from provetune.records.data import Finding
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson

TOXIC = 0.5
WEAK = 0.6
"""Share of a functionality's cases judged rightly below which it is named as one that the classifier cannot tell."""
_BATCH = 64
_NAMES = ("toxic", "hate", "hateful", "offensive", "abusive", "label_1")


def toxicity(inputs: AuditInput) -> list[Finding]:
    """Rows with a text from 0.5 on, most toxic first; the message says how far the classifier can be trusted."""
    judge = inputs.toxicity
    if judge is None:
        return []
    if not judge.hatecheck:
        message = f"Toxicity was not measured: the classifier {judge.name} comes without its results on HateCheck."
        remedy = "Measure it on HateCheck's test cases first; a word list or an unknown classifier says little."
        return [Finding(check="toxicity", severity="info", message=message, count=0, remedy=remedy)]
    rows = [
        (place, message.text) for place, example in enumerate(inputs.examples) for message in example.messages if message.role != "system"
    ]
    worst: dict[int, float] = {}
    for low in range(0, len(rows), _BATCH):
        part = rows[low : low + _BATCH]
        for (place, _), value in zip(part, judge.toxicity([text for _, text in part]), strict=True):
            worst[place] = max(value, worst.get(place, 0.0))
        inputs.progress("audit: toxicity", low + len(part), len(rows))
    places = sorted((place for place, value in worst.items() if value >= TOXIC), key=lambda place: -worst[place])
    if not places:
        return []
    right = [estimate.value for estimate in judge.hatecheck.values() if estimate.value is not None]
    weak = [name for name, estimate in judge.hatecheck.items() if estimate.value is not None and estimate.value < WEAK]
    doubt = f" and weak on {', '.join(weak[:5])}" if weak else ""
    return [
        Finding(
            check="toxicity",
            severity="warning",
            message=f"{part_text(inputs, len(places))} are called toxic by {judge.name}, right in {sum(right) / len(right):.0%} of "
            f"HateCheck's cases on average{doubt}.",
            threshold=0.0,
            remedy="Look through them: complaints, quotations and words that groups use for themselves are often called toxic wrongly.",
            **counted(inputs, places),
        )
    ]


def on_hatecheck(judge: ToxicityClassifier, cases: Sequence[Mapping[str, str]]) -> dict[str, Estimate]:
    """Share of HateCheck's cases judged rightly, by functionality; `cases` are the rows of its `test_suite_cases.csv`.

    Source: Röttger et al., "HateCheck", ACL 2021.
    """
    right: dict[str, list[bool]] = {}
    for low in range(0, len(cases), _BATCH):
        part = cases[low : low + _BATCH]
        for case, value in zip(part, judge.toxicity([case["test_case"] for case in part]), strict=True):
            right.setdefault(case["functionality"], []).append((value >= TOXIC) == (case["label_gold"] == "hateful"))
    return {name: wilson(sum(found), len(found)) for name, found in right.items()}


class FolderClassifier:
    """A `ToxicityClassifier` over a folder with a text classifier of Hugging Face's format; never runs code from the folder.

    `cases` are HateCheck's; without them it is not measured, and the audit does not use it. Raises ModelError where the folder holds
    no classifier or none of its labels says what is toxic.
    """

    def __init__(self, folder: Path, cases: Sequence[Mapping[str, str]] = ()) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        safe = {"trust_remote_code": False, "use_safetensors": True}
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(folder, **safe).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{folder}: no text classifier could be loaded ({error}); wanted a folder with config and safetensors"
            ) from error
        labels = {str(label).lower(): int(number) for number, label in self._model.config.id2label.items()}
        named = [labels[name] for name in _NAMES if name in labels]
        if not named:
            raise ModelError(f"{folder}: none of the labels {', '.join(labels)} says what is toxic; wanted one of {', '.join(_NAMES)}")
        self._toxic = named[0]
        self.name = folder.name
        self.hatecheck: Mapping[str, Estimate] = on_hatecheck(self, cases) if cases else {}

    def toxicity(self, texts: Sequence[str]) -> list[float]:
        """Probability of the toxic label for each text, 0 for an empty one; long texts are cut at what the classifier reads."""
        import torch

        found = [0.0] * len(texts)
        said = [place for place, text in enumerate(texts) if text.strip()]
        if said:
            given = self._tokenizer([texts[place] for place in said], padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**given).logits.float()
            several = self._model.config.problem_type == "multi_label_classification"
            shares = logits.sigmoid() if several else logits.softmax(dim=-1)
            for place, value in zip(said, shares[:, self._toxic].tolist(), strict=True):
                found[place] = value
        return found
