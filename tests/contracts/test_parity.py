"""What is trained on is what is sent when it is measured and served, token by token, for every make of tokenizer and template."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from provetune.chat import encode_prompt, encode_training, encode_training_rows
from provetune.engine.choices import choice_tree
from provetune.errors import DataError, ModelError
from provetune.models.merging import merged_model
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import GenerationSettings, Method
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick
from provetune.tuning import TuneRequest, tune
from tests.architecture.source import ROOT
from tests.models import LAST_TURN, LINES, WORDS, byte_tokenizer, merging_tokenizer, save_folder, tiny_llama, unigram_tokenizer
from tests.unit.records_by_hand import candidate_of

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

FAMILIES: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "unigram": unigram_tokenizer,
    "unigram, turns begin a line": lambda: unigram_tokenizer(LINES),
    "byte-level BPE without BOS": merging_tokenizer,
    "template that drops earlier turns": lambda: byte_tokenizer(LAST_TURN),
}
LABELS = ("billing", "delivery", "access")
SETTINGS = GenerationSettings(max_new_tokens=8)
GENERATION_CONFIG = '{"pad_token_id": 2, "eos_token_id": 2,\n "temperature": 0.6, "do_sample": true}'


@dataclass(frozen=True)
class Family:
    """A model folder, our tokenizer over it, and the library's own."""

    folder: Path
    ours: FolderTokenizer
    theirs: Any
    drops_turns: bool


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    tokenizer = FAMILIES[request.param]()
    folder = save_folder(tmp_path_factory.mktemp("family"), tiny_llama(vocab_size=len(tokenizer)), tokenizer)
    (folder / "generation_config.json").write_text(GENERATION_CONFIG)  # pad equals eos, and sampling is on: as many models come
    return Family(folder, FolderTokenizer(folder), AutoTokenizer.from_pretrained(folder), "drops" in request.param)


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)


def conversation(*texts: str) -> tuple[Message, ...]:
    """Turns of user and assistant."""
    return tuple(Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(texts))


def served(family: Family, messages: Sequence[Message]) -> list[int]:
    """The ids that the library's own server code makes of a conversation."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    ids: list[int] = family.theirs.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
    return ids


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Questions and answers of words, blanks, line feeds, letters that no vocabulary has, and texts that look like markers."""
    draw = random.Random(seed)
    odd = ["  ", "\n", "\n\n", "déjà vu", "漢字", "🙂", "[INST]", "</s>", "<|im_end|>", "<|end|>", "<s>", "1234", "\t", ".", "x" * 30]
    drawn = [" ".join(draw.choices([*WORDS, *odd], k=draw.randint(1, 9))).strip() for _ in range(2 * count)]
    return [(a or "is", b or "the") for a, b in zip(drawn[::2], drawn[1::2], strict=True)]


def spelled(family: Family, text: str) -> list[str]:
    """The special tokens of a family that a text spells; the library's server code takes them for the real ones."""
    return [token.content for token in family.theirs.added_tokens_decoder.values() if token.special and token.content in text]


def test_messages_become_ids_in_one_place() -> None:
    """Only the tokenizer renders; only `chat` makes ids of what is rendered, and everybody asks `chat`."""
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src" / "provetune").rglob("*.py")}
    rendering = {
        path.relative_to(ROOT / "src" / "provetune").as_posix() for path, text in sources.items() if "apply_chat_template(" in text
    }
    standalone = {"models/replay.py", "serving/packages/commands.py"}  # what a package brings: it runs without this library
    assert rendering == {"models/tokenizer.py", *standalone}
    asking = {"encode_prompt(": "models/transformers.py", "encode_training(": "tuning/tune.py"}
    for function, place in asking.items():
        assert function in (ROOT / "src" / "provetune" / place).read_text(encoding="utf-8"), f"{place} does not ask {function})"


def test_the_row_as_trained_begins_with_the_prompt_as_the_library_serves_it(family: Family) -> None:
    for question, answer in texts(60, seed=1):
        messages = conversation(question, answer)
        row, prompt = encode_training(messages, family.ours), encode_prompt(messages[:1], family.ours)
        if not spelled(family, question):
            assert prompt == served(family, messages[:1])
        assert row.ids[: len(prompt)].tolist() == prompt and not row.labelled[: len(prompt)].any()


def test_what_is_learned_is_the_answer_and_a_stop(family: Family) -> None:
    for words in (("late",), ("the", "refund", "is", "late"), WORDS):
        answer = " ".join(words)
        row = encode_training(conversation("where is it", answer), family.ours)
        learned = row.ids[row.labelled].tolist()
        assert family.ours.decode(learned) == answer and learned[-1] in family.ours.stop_ids
        whole = family.ours.encode(family.ours.render(conversation("where is it", answer), open_turn=False))
        assert row.ids.tolist() == whole[: len(row)], "the answer has the tokens that the library gives it, no blank before it"


def test_a_special_token_that_a_message_spells_is_plain_text(family: Family) -> None:
    """Wherever it stands, in a question or an answer: as many special tokens as with harmless words, and the same letters."""
    special = {number for number, token in family.theirs.added_tokens_decoder.items() if token.special}
    names = [family.theirs.added_tokens_decoder[number].content for number in special]
    harmless = encode_training(conversation("late", "late"), family.ours).ids.tolist()
    wanted = [token for token in harmless if token in special]
    for text in [
        form.format(name) for name in names for form in ("{}", "late{0}late", "{0}{0}", "the\n{} is late", "x {} y {}".format("{0}", "{0}"))
    ]:
        assert spelled(family, text)
        for question, answer in ((text, "late"), ("late", text)):
            messages = conversation(question, answer)
            row = encode_training(messages, family.ours)
            assert [token for token in row.ids.tolist() if token in special] == wanted
            learned = row.ids[row.labelled].tolist()
            assert family.ours.decode(learned) == answer and learned[-1] in family.ours.stop_ids
            prompt = encode_prompt(messages[:1], family.ours)
            assert row.ids[: len(prompt)].tolist() == prompt and question in family.ours.decode(prompt)
            [alone] = encode_training_rows([Example(id="1", messages=messages, source="rows:1")], family.ours)
            assert not isinstance(alone, Exception) and alone.ids.tolist() == row.ids.tolist()


def test_the_mark_that_breaks_spellings_is_refused_in_a_message(family: Family) -> None:
    with pytest.raises(DataError, match="found U.FDD0 in a message"):
        encode_prompt(conversation("a\ufdd0b"), family.ours)


def test_every_turn_of_a_conversation_was_served_so(family: Family) -> None:
    messages = conversation("where is the parcel", "late again", "thanks", "the refund is late", "is it", "billing")
    if family.drops_turns:
        with pytest.raises(ModelError, match=r"drops the content of turn 1"):
            encode_training(messages, family.ours)
        return
    row = encode_training(messages, family.ours)
    for turn in (1, 3, 5):
        prompt = served(family, messages[:turn])
        assert row.ids[: len(prompt)].tolist() == prompt, f"before turn {turn + 1}"


def test_there_are_as_many_begin_tokens_as_the_template_brings(family: Family) -> None:
    begin = family.theirs.bos_token_id
    if begin is None:
        begin = family.theirs.convert_tokens_to_ids("<|im_start|>")
    rendered = family.ours.render(conversation("where is it", "late"), open_turn=False)
    ids = encode_training(conversation("where is it", "late"), family.ours).ids.tolist()
    assert ids.count(begin) == rendered.count(family.theirs.convert_ids_to_tokens(begin)) > 0


def test_many_rows_at_once_are_the_rows_one_by_one(family: Family) -> None:
    rows = [Example(id=str(k), messages=conversation(*pair), source=f"rows:{k}") for k, pair in enumerate(texts(40, seed=2))]
    for found, row in zip(encode_training_rows(rows, family.ours), rows, strict=True):
        alone = encode_training(row.messages, family.ours)
        assert not isinstance(found, Exception)
        assert found.ids.tolist() == alone.ids.tolist() and found.labelled.tolist() == alone.labelled.tolist()


def test_a_choice_is_held_to_the_tokens_that_were_learned(family: Family) -> None:
    generator = TransformersGenerator(load_model(family.folder), family.ours)
    rules = generator.rules(GenerationSettings(max_new_tokens=8, choices=LABELS))
    rows = [encode_training(conversation("where is it", label), family.ours) for label in LABELS]
    learned = [[token for token in row.ids[row.labelled].tolist() if token not in family.ours.stop_ids] for row in rows]
    assert rules.choices == choice_tree(learned)


# -- golden prompts after training, saving, reading back and merging


GOLDEN = [conversation(question)[:1] for question, _ in texts(12, seed=3)]


def written(generator: TransformersGenerator) -> list[str | None]:
    return [completion.text for completion in generator.generate(GOLDEN, SETTINGS, lambda *_: None)]


def written_by_the_library(family: Family, model: Any) -> list[str]:
    """Greedy completions of the library's own `generate`, one prompt at a time, from the ids of its own template code."""
    found = []
    for messages in GOLDEN:
        plain = not spelled(family, messages[0].content)
        ids = torch.tensor([served(family, messages) if plain else encode_prompt(messages, family.ours)])
        stops = sorted(family.ours.stop_ids)
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8, eos_token_id=stops, pad_token_id=0
        )
        new = [token for token in out[0, ids.shape[1] :].tolist() if token not in stops]
        found.append(family.theirs.decode(new, skip_special_tokens=True))
    return found


def trained(family: Family, tmp_path: Path, method: Method) -> Path:
    """Weights of a few steps, big ones, so that they change what is written."""
    rows = [
        Example(id=str(k), messages=conversation(f"where is {WORDS[k]}", LABELS[k % 3]), label=LABELS[k % 3], source=f"rows:{k}")
        for k in range(12)
    ]
    template = candidate_of(f"tuned-{method}", "full" if method == "full" else "adapter")
    request = TuneRequest(
        method=method,
        base_folder=family.folder,
        model=model_ref(family.folder, "tiny", "main", family.ours),
        tokenizer=family.ours,
        template=template.model_copy(update={"generation": SETTINGS}),
        train=rows[:9],
        validation=rows[9:],
        yardstick=Yardstick("classify", LABELS, "validation"),
        metric="accuracy",
        hyperparameters={
            **{"learning_rate": 0.02 if method == "lora" else 0.005, "epochs": 2, "batch_size": 4, "max_length": 200},
            **{"r": 4, "alpha": 16, "dropout": 0.0, "targets": "all-linear"},
        },
        seed=1,
        checkpoints=tmp_path / "checkpoints",
        out=tmp_path / "weights",
        max_seconds=600.0,
        environment={},
        progress=lambda *_: None,
    )
    tune(request)
    return request.out


@pytest.mark.filterwarnings("ignore:The following generation flags are not valid:UserWarning")
def test_an_adapter_writes_the_same_read_back_merged_and_by_the_library(family: Family, tmp_path: Path) -> None:
    adapter = trained(family, tmp_path, "lora")
    model = load_model(family.folder, adapter)
    golden = written(TransformersGenerator(model, family.ours))
    assert golden != written(TransformersGenerator(load_model(family.folder), family.ours)), "the adapter is not inert"
    assert golden == written_by_the_library(family, model)
    merged = tmp_path / "merged"
    merged_model(family.folder, adapter).save_pretrained(merged)
    assert written(TransformersGenerator(load_model(merged), family.ours)) == golden
    assert not (adapter / "generation_config.json").exists(), "the base's own holds"


@pytest.mark.filterwarnings("ignore:The following generation flags are not valid:UserWarning")
def test_full_weights_write_the_same_as_a_folder_of_their_own(family: Family, tmp_path: Path) -> None:
    folder = trained(family, tmp_path, "full")
    alone = FolderTokenizer(folder)
    golden = written(TransformersGenerator(load_model(folder), family.ours))
    assert written(TransformersGenerator(load_model(folder), alone)) == golden
    library = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert written_by_the_library(family, library) == golden
    assert alone.stop_ids == family.ours.stop_ids
    assert (folder / "generation_config.json").read_text() == GENERATION_CONFIG, "what ends a turn is not for a training to change"
    config, base = (json.loads((place / "config.json").read_text()) for place in (folder, family.folder))
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "vocab_size", "tie_word_embeddings")
    assert [config.get(name) for name in names] == [base.get(name) for name in names]
