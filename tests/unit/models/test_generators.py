"""Everything that writes completions: a local model, the linear classifier, a script, a lazy one; adapters on disk."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch

from provetune.chat import encode_prompt, encode_training
from provetune.engine.generation import generate
from provetune.engine.writing import Rules
from provetune.errors import ModelError
from provetune.models.lazy import LazyGenerator
from provetune.models.linear import LinearClassifier
from provetune.models.scripted import ScriptedGenerator
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.protocols import Generator
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.tuning.methods import lora
from tests.models import tiny_llama

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

FOUR = GenerationSettings(max_new_tokens=4)
RECIPE: dict[str, float | int | str] = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def asked(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


class TestTransformers:
    def test_completions_are_the_engines(self, tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
        model = load_model(tiny_folder)
        found = TransformersGenerator(model, tiny_tokenizer).generate([asked("Hello"), asked("Where is it?")], FOUR, silent)
        for text, completion in zip(("Hello", "Where is it?"), found, strict=True):
            ids = encode_prompt(asked(text), tiny_tokenizer)
            [wanted] = generate(model, [ids], Rules(tiny_tokenizer.stop_ids, 4))
            assert completion.text == tiny_tokenizer.decode(wanted.ids) and completion.error is None
            assert (completion.prompt_tokens, completion.completion_tokens) == (len(ids), len(wanted.ids))

    def test_a_prompt_that_is_too_long_is_not_measured(self, tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
        room = tiny_tokenizer.context_length - FOUR.max_new_tokens - len(encode_prompt(asked(""), tiny_tokenizer))
        prompts = [asked("a" * (room + 1)), asked("Hello"), asked("a" * room)]
        found = TransformersGenerator(load_model(tiny_folder), tiny_tokenizer).generate(prompts, FOUR, silent)
        assert [completion.text is None for completion in found] == [True, False, False]
        assert found[0].error == "the prompt has 509 tokens, the context leaves 508" and not found[0].stopped
        assert found[2].prompt_tokens == 508

    def test_likelihoods_are_those_of_the_turn_as_it_is_trained(self, tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
        model, texts = load_model(tiny_folder), ("refund", "re", "billing")
        prompts = [asked("Hello"), asked("Where is it?")]
        generator = TransformersGenerator(model, tiny_tokenizer)
        same = generator.loglikelihood(prompts, [texts, texts], silent)
        for messages, found in zip(prompts, same, strict=True):
            for text, nats, tokens in zip(texts, found.nats or (), found.tokens, strict=True):
                row = encode_training([*messages, Message(role="assistant", content=text)], tiny_tokenizer)
                ids = torch.from_numpy(row.ids)
                with torch.no_grad():
                    logs = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
                places = [place for place in range(1, len(ids)) if row.labelled[place]]
                assert nats == pytest.approx(float(sum(logs[place - 1, ids[place]] for place in places)), rel=1e-5)
                assert tokens == len(places) == len(text) + 1, "the token that ends the turn belongs to it"
        # each prompt with choices of its own goes another way through the engine
        own = generator.loglikelihood(prompts, [texts[:2], texts[1:]], silent)
        assert own[0].nats == pytest.approx((same[0].nats or ())[:2], rel=1e-5)
        assert own[1].nats == pytest.approx((same[1].nats or ())[1:], rel=1e-5)

    def test_likelihoods_of_a_prompt_that_is_too_long(self, tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
        generator = TransformersGenerator(load_model(tiny_folder), tiny_tokenizer)
        long, short = generator.loglikelihood([asked("a" * 600), asked("a")], [("yes", "no")] * 2, silent)
        assert long.nats is None and "the context leaves 508" in str(long.error) and short.nats is not None
        assert generator.loglikelihood([], [], silent) == []

    def test_only_prompts_that_are_too_long(self, tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
        [found] = TransformersGenerator(load_model(tiny_folder), tiny_tokenizer).generate([asked("a" * 600)], FOUR, silent)
        assert found.text is None and found.error is not None

    def test_a_folder_that_holds_no_model_is_a_model_error(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(ModelError, match="could not be loaded"):
            load_model(tmp_path)


class TestAdapter:
    @pytest.fixture
    def folder(self, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An adapter with weights of its own, saved without the network."""
        monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a socket was opened"))
        torch.manual_seed(0)
        model = lora(load_model(tiny_folder), RECIPE)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
        self.ids = torch.arange(6, 30)[None]
        with torch.no_grad():
            self.logits = model.eval()(self.ids).logits
        model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
        return tmp_path / "adapter"

    def test_the_reloaded_adapter_gives_the_same_logits(self, tiny_folder: Path, folder: Path) -> None:
        with torch.no_grad():
            again = load_model(tiny_folder, folder)(self.ids).logits
            base = load_model(tiny_folder)(self.ids).logits
        torch.testing.assert_close(again, self.logits, rtol=0, atol=0)
        assert float((again - base).norm()) > 0.1  # the adapter does something

    def test_a_fresh_adapter_changes_nothing(self, tiny_folder: Path) -> None:
        torch.manual_seed(0)
        with torch.no_grad():
            ids = torch.arange(6, 30)[None]
            assert torch.equal(lora(load_model(tiny_folder), RECIPE)(ids).logits, load_model(tiny_folder)(ids).logits)

    def test_only_the_adapter_is_saved_as_safetensors(self, folder: Path) -> None:
        assert {item.name for item in folder.iterdir()} == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
        assert (folder / "adapter_model.safetensors").stat().st_size < 100_000

    def test_named_layers_alone_are_adapted(self) -> None:
        model = lora(tiny_llama(), {**RECIPE, "targets": "q_proj, v_proj"})
        adapted = {name.split(".lora_")[0].rsplit(".", 1)[1] for name, p in model.named_parameters() if p.requires_grad}
        assert adapted == {"q_proj", "v_proj"}
        assert not any(p.requires_grad for name, p in model.named_parameters() if "lora_" not in name)


class TestLinear:
    rows = [
        Example(
            id=f"{label}-{number}",
            messages=(Message(role="user", content=f"{words} number {number}"), Message(role="assistant", content=label)),
            label=label,
        )
        for label, words in (("refund", "give my money back"), ("delivery", "where is the parcel"))
        for number in range(8)
    ]
    prompts = [asked("money back please"), asked("my parcel is late"), asked("")]

    def test_it_learns_and_is_deterministic(self) -> None:
        first, second = (LinearClassifier(self.rows).generate(self.prompts, FOUR, silent) for _ in range(2))
        assert first == second and [c.text for c in first[:2]] == ["refund", "delivery"]
        assert {c.text for c in first} <= {"refund", "delivery"}

    def test_system_lines_do_not_count(self) -> None:
        classifier = LinearClassifier(self.rows)
        system = Message(role="system", content="where is the parcel")
        [plain, with_system] = classifier.generate([self.prompts[0], [system, *self.prompts[0]]], FOUR, silent)
        assert plain == with_system

    def test_no_prompts_no_completions(self) -> None:
        assert LinearClassifier(self.rows).generate([], FOUR, silent) == []


def test_a_script_answers_or_has_nothing() -> None:
    known, unknown = ScriptedGenerator({"Hello": "Hi."}).generate([asked("Hello"), asked("Bye")], FOUR, silent)
    assert (known.text, known.error) == ("Hi.", None)
    assert unknown.text is None and unknown.error == "not in the script"


def test_a_lazy_generator_loads_once_and_only_when_asked() -> None:
    loaded: list[int] = []

    def make() -> Generator:
        loaded.append(1)
        return ScriptedGenerator({"Hello": "Hi."})

    lazy = LazyGenerator(make)
    assert loaded == []
    for _ in range(2):
        [found] = lazy.generate([asked("Hello")], FOUR, silent)
        assert found.text == "Hi." and loaded == [1]


def test_the_adapter_configuration_is_plain(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lora(tiny_llama(), RECIPE).save_pretrained(tmp_path, save_embedding_layers=False)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["peft_type"], settings["bias"]) == (4, 8, "LORA", "none")
