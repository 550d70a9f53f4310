"""Toxicity is measured only by a classifier that was measured itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from provetune.audit import audit
from provetune.audit.toxicity import FolderClassifier, on_hatecheck
from provetune.errors import ModelError
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from tests.unit.audit.rows import clean, example, found, inputs, only

CASES = [
    {"functionality": "slur", "test_case": "all of them are vermin", "label_gold": "hateful"},
    {"functionality": "slur", "test_case": "they are vermin too", "label_gold": "hateful"},
    {"functionality": "counter", "test_case": "it is wrong to call them vermin", "label_gold": "non-hateful"},
]


@dataclass(frozen=True)
class Vermin:
    """A judge that knows one word."""

    hatecheck: Mapping[str, Estimate] = field(default_factory=dict)
    name: str = "one word"

    def toxicity(self, texts: Sequence[str]) -> list[float]:
        return [0.9 if "vermin" in text else 0.1 for text in texts]


def test_nothing_is_measured_without_a_classifier() -> None:
    report = audit(inputs([*clean(), example(99, "they are vermin", "fees")]), "data")
    assert "toxicity" not in {finding.check for finding in report.findings}
    assert any(text.startswith("Toxicity was not measured") for text in report.not_measured)


def test_a_classifier_without_hatecheck_is_not_used() -> None:
    given = replace(inputs([*clean(), example(99, "they are vermin", "fees")]), toxicity=Vermin())
    finding = only(found("toxicity", given))
    assert (finding.severity, finding.count) == ("info", 0)
    assert "not measured" in finding.message
    assert any(text.startswith("Toxicity was not measured") for text in audit(given, "data").not_measured)


def test_rows_are_listed_with_what_the_classifier_cannot_tell() -> None:
    results = on_hatecheck(Vermin(), CASES)
    assert results == {"slur": wilson(2, 2), "counter": wilson(0, 1)}
    rows = [*clean(), example(99, "they are vermin", "fees"), example(100, "a question", "fees", "say no vermin")]
    finding = only(found("toxicity", replace(inputs(rows), toxicity=Vermin(results))))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r99",))
    assert "right in 50% of HateCheck's cases" in finding.message and "weak on counter" in finding.message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text classifier of two layers with random weights."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *sorted({word for case in CASES for word in case["test_case"].split()})]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    target = tmp_path_factory.mktemp("classifier")
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", model_max_length=32).save_pretrained(target)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        id2label={0: "fine", 1: "Toxic"},
        label2id={"fine": 0, "Toxic": 1},
    )
    BertForSequenceClassification(config).save_pretrained(target)
    return target


def test_a_folder_is_a_classifier(folder: Path) -> None:
    judge = FolderClassifier(folder, CASES)
    assert set(judge.hatecheck) == {"slur", "counter"}
    texts = [case["test_case"] for case in CASES] + ["vermin " * 100, ""]
    together = judge.toxicity(texts)
    assert together == pytest.approx([judge.toxicity([text])[0] for text in texts], abs=1e-5)
    assert all(0 < value < 1 for value in together[:-1]) and together[-1] == 0


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="no text classifier could be loaded"):
        FolderClassifier(tmp_path)
    config = (folder / "config.json").read_text()
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(config.replace("Toxic", "sport"))
    with pytest.raises(ModelError, match="none of the labels fine, sport says what is toxic"):
        FolderClassifier(tmp_path)
