"""The tokenizer of a model folder: stop tokens off the template, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.errors import ModelError
from provetune.hashing import folder_sha256
from provetune.models.tokenizer import FolderTokenizer, model_ref
from tests.models import TEMPLATE, byte_tokenizer, save_folder, tiny_llama

TURN_END = "<end_of_turn>"
ENDS_OTHERWISE = TEMPLATE.replace("{{ eos_token }}", "{{ '" + TURN_END + "' }}{{ '\\n' }}")


def test_the_starter_stops_at_its_end_token(starter_tokenizer: FolderTokenizer) -> None:
    assert [starter_tokenizer._tokenizer.convert_ids_to_tokens(i) for i in starter_tokenizer.stop_ids] == ["<|end|>"]
    assert starter_tokenizer.context_length == 1024


def test_a_turn_end_other_than_eos_is_a_stop_token_too(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(ENDS_OTHERWISE, [TURN_END])
    found = FolderTokenizer(save_folder(tmp_path / "gemma", tiny_llama(vocab_size=263), tokenizer))
    assert found.stop_ids == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(TURN_END)}


def test_plain_text_after_a_turn_is_no_stop_token(tmp_path: Path) -> None:
    found = FolderTokenizer(
        save_folder(tmp_path / "plain", tokenizer=byte_tokenizer(TEMPLATE.replace("{{ eos_token }}", "{{ '\\n\\n' }}")))
    )
    assert found.stop_ids == {2}


def test_special_tokens_are_left_out_of_decoded_text(tiny_tokenizer: FolderTokenizer) -> None:
    assert tiny_tokenizer.decode(tiny_tokenizer.encode("<|begin|><|user|>déjà 你<|end|>")) == "déjà 你"


def test_no_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template; use an instruction-tuned model"):
        FolderTokenizer(save_folder(tmp_path / "base", tokenizer=byte_tokenizer(None)))


def test_no_tokenizer_is_refused(tmp_path: Path) -> None:
    tiny_llama().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer could be loaded"):
        FolderTokenizer(tmp_path)


def test_nothing_to_stop_at_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(TEMPLATE.replace("{{ eos_token }}", "{{ '\\n' }}"))
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="nothing could stop"):
        FolderTokenizer(save_folder(tmp_path / "endless", tokenizer=tokenizer))


def test_the_reference_names_what_is_there(tiny_folder: Path, tiny_tokenizer: FolderTokenizer) -> None:
    found = model_ref(tiny_folder, "tiny", "main", tiny_tokenizer)
    assert found.parameters == sum(p.numel() for p in tiny_llama().parameters())
    assert (found.name, found.context_length, found.licence) == ("tiny", 512, "unknown")
    assert found.weights_sha256 == folder_sha256(tiny_folder, [".safetensors"])


def test_the_licence_is_read_off_the_model_card(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "tiny")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    assert model_ref(folder, "tiny", "main", FolderTokenizer(folder)).licence == "apache-2.0"


def test_other_weights_or_another_template_make_another_reference(
    tmp_path: Path, tiny_folder: Path, tiny_tokenizer: FolderTokenizer
) -> None:
    first = model_ref(tiny_folder, "tiny", "main", tiny_tokenizer)
    weights = save_folder(tmp_path / "weights", tiny_llama(seed=1))
    assert model_ref(weights, "tiny", "main", FolderTokenizer(weights)).weights_sha256 != first.weights_sha256
    template = save_folder(tmp_path / "template", tokenizer=byte_tokenizer(TEMPLATE + "{{ '\\n' }}"))
    assert model_ref(template, "tiny", "main", FolderTokenizer(template)).template != first.template


def test_the_context_is_the_models_own(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "short")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    assert FolderTokenizer(folder).context_length == 64
