"""A tuned model beside its base: an adapter that is switched off is the base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from provetune.models.pair import ModelPair
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.tuning.methods import lora
from tests.models import save_folder, tiny_llama

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ASKED = [(Message(role="user", content=text),) for text in ("Hello", "What is up?", "x" * 600)]
CHOICES = [["yes", "no"], ["no", "maybe so"], ["yes", "no"]]
SETTINGS = GenerationSettings(max_new_tokens=8)


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair") / "adapter"
    model = lora(load_model(tiny_folder), {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def test_before_is_the_base_and_after_the_adapter(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, adapter: Path) -> None:
    pair = ModelPair(tiny_folder, tiny_tokenizer, adapter=adapter)
    base = TransformersGenerator(load_model(tiny_folder), tiny_tokenizer)
    tuned = TransformersGenerator(load_model(tiny_folder, adapter), tiny_tokenizer)
    for found, wanted in ((pair.before, base), (pair.after, tuned), (pair.before, base)):
        ours, theirs = (one.loglikelihood(ASKED, CHOICES, quiet) for one in (found, wanted))
        for a, b in zip(ours[:2], theirs[:2], strict=True):
            assert a.nats is not None and b.nats is not None
            assert a.nats == pytest.approx(b.nats, rel=1e-4)
        assert ours[2].nats is None, "longer than the context"
        assert found.generate(ASKED, SETTINGS, quiet) == wanted.generate(ASKED, SETTINGS, quiet)
    assert pair.before.generate(ASKED, SETTINGS, quiet) != pair.after.generate(ASKED, SETTINGS, quiet)


def test_divergence_agrees_with_the_likelihoods(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, adapter: Path) -> None:
    pair = ModelPair(tiny_folder, tiny_tokenizer, adapter=adapter)
    talks = [(*asked, Message(role="assistant", content="yes")) for asked in ASKED]
    found = pair.divergence(talks, quiet)
    assert found[2] is None
    before, after = (one.loglikelihood(ASKED[:2], [["yes"]] * 2, quiet) for one in (pair.before, pair.after))
    for one, b, a in zip(found[:2], before, after, strict=True):
        assert one is not None and b.nats is not None and a.nats is not None
        assert (one.before.sum(), one.after.sum()) == pytest.approx((-b.nats[0], -a.nats[0]), rel=1e-4)
        assert one.kl.min() >= -1e-6 and one.kl.mean() > 0.001


def test_full_weights_stand_beside_the_base(tiny_folder: Path, tiny_tokenizer: FolderTokenizer, tmp_path: Path) -> None:
    other = save_folder(tmp_path / "other", tiny_llama(seed=5))
    pair = ModelPair(tiny_folder, tiny_tokenizer, full=other)
    [one] = pair.divergence([(*ASKED[0], Message(role="assistant", content="yes"))], quiet)
    assert one is not None and one.kl.mean() > 0.01
    [same] = ModelPair(tiny_folder, tiny_tokenizer, full=tiny_folder).divergence(
        [(*ASKED[0], Message(role="assistant", content="yes"))], quiet
    )
    assert same is not None and np.abs(same.kl).max() < 1e-6
