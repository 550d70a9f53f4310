"""Licences of base models: found, known, allowed or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.models.card import architecture_of, card_of, front_matter, read_card, safetensors_parameters
from provetune.models.locate import STARTER, model_card, tokenizer_folder
from provetune.planning.bases import short_list
from provetune.planning.licences import allowance, licence_table, refusal, terms_of
from provetune.records.bases import obligations_of


def model(folder: Path, card: str = "", **texts: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_row_of_the_table_has_a_source_and_every_listed_model_a_known_licence() -> None:
    table = licence_table()
    assert len(table) > 20
    assert all(one.source_url.startswith("https://") and one.name and one.version for one in table.values())
    assert all(listed.licence in table and listed.parameters > 0 and listed.context_length > 0 for listed in short_list())
    assert [one.parameters for one in short_list()] == sorted(one.parameters for one in short_list())


def test_what_licences_are_known_to_ask() -> None:
    """Facts of the licences' own texts."""
    llama = terms_of("llama3.1")
    assert llama is not None and llama.commercial == "limited"
    assert "700 million" in llama.user_cap and "Built with Llama" in llama.name_required and "begins with" in llama.derivative_naming
    two, three = terms_of("llama2"), terms_of("llama3")
    assert two is not None and not two.name_required and "improve other" in two.use_restrictions
    assert three is not None and "Built with Meta Llama 3" in three.name_required and "improve other" in three.use_restrictions
    qwen = terms_of("Tongyi-Qianwen")
    assert qwen is not None and "100 million" in qwen.user_cap and terms_of("qwen-research").commercial == "no"  # type: ignore[union-attr]
    assert terms_of("gemma").user_cap == ""  # type: ignore[union-attr]
    assert "no commercial use" in obligations_of(licence_table()["cc-by-nc-sa-4.0"])
    assert licence_table()["cc-by-nc-sa-4.0"].share_alike and not licence_table()["mit"].share_alike
    assert obligations_of(licence_table()["cc0-1.0"]) == [] and terms_of("apache-2.0+mit") is None


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: other\nlicense_name: Llama3.1\nlicense_link: LICENSE", "llama3.1"),
        ("license:\n- mit\n- apache-2.0", "apache-2.0+mit"),
        ("license: other", "unknown"),
        ("language: en", "unknown"),
        ("license: [unclosed", "unknown"),
    ],
)
def test_the_card_names_the_licence(tmp_path: Path, front: str, licence: str) -> None:
    found = read_card(model(tmp_path / "model", f"\n---\n{front}\n---\n# A model\nlicense: none of the card\n"))
    assert found.licence == licence and (found.found_in == "README.md") == (licence != "unknown")


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("                                 Apache License\n                           Version 2.0, January 2004", "apache-2.0"),
        ("MIT License\n\nCopyright (c) Somebody\n\nPermission is hereby granted, free of charge, to any person", "mit"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024", "llama3.1"),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT", "llama2"),
        ("Qwen RESEARCH LICENSE AGREEMENT", "qwen-research"),
        ("Tongyi Qianwen LICENSE AGREEMENT", "qwen"),
        ("Gemma Terms of Use\nLast modified: February 21, 2024", "gemma"),
        ("You may look at these weights on Tuesdays.", "unknown"),
    ],
)
def test_without_a_card_the_text_is_recognised(tmp_path: Path, text: str, licence: str) -> None:
    found = read_card(model(tmp_path / "model", LICENSE=text))
    assert (found.licence, found.found_in) == (licence, "" if licence == "unknown" else "LICENSE")


def test_declared_data_and_a_licence_in_the_configuration(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", "---\ndatasets: [c4, pile]\n---\n")
    (folder / "config.json").write_text(json.dumps({"license": "mit", "model_type": "llama"}))
    found = read_card(folder)
    assert (found.licence, found.found_in, found.datasets) == ("mit", "config.json", ("c4", "pile"))
    assert architecture_of(folder) == "llama" and card_of({}).datasets is None
    assert front_matter(tmp_path / "nothing.md") == {} and front_matter(model(tmp_path / "b", "no front matter") / "README.md") == {}


def test_what_is_packaged_is_found_without_its_weights(tmp_path: Path) -> None:
    assert model_card("starter", "main", tmp_path).licence == "apache-2.0"
    assert tokenizer_folder("starter", "main", tmp_path) == STARTER and safetensors_parameters(STARTER) == 6_917_376


def test_allowed_refused_and_undecided() -> None:
    allowed = ["Apache-2.0", "qwen"]
    assert allowance("tongyi-qianwen", allowed) == "allowed" and allowance("apache-2.0+mit", allowed) == "not allowed"
    said = refusal("some/model", "cc-by-nc-4.0", allowed)
    assert "some/model" in said and "cc-by-nc-4.0" in said and "Apache-2.0, qwen" in said
    assert "base.licence" in refusal("some/model", "unknown", allowed)
    assert refusal("some/model", "unknown", None) == "" == refusal("some/model", "unknown", [*allowed, "unknown"])
