"""vLLM: what our settings become there, what its outputs become here; the engine itself needs a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from provetune.errors import ModelError
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.vllm import VllmGenerator, completion_of, engine_arguments, sampling_arguments
from provetune.records.candidate import GenerationSettings

STOP = frozenset({9, 2})


def adapter(folder: Path, **config: object) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


class TestSampling:
    def test_greedy(self) -> None:
        found = sampling_arguments(GenerationSettings(max_new_tokens=7), STOP, 3)
        assert found == {"temperature": 0.0, "max_tokens": 7, "stop_token_ids": [2, 9], "detokenize": False}

    def test_drawn_rows_have_seeds_of_their_own_that_do_not_change(self) -> None:
        settings = GenerationSettings(temperature=0.7, top_p=0.9, seed=5)
        rows = [sampling_arguments(settings, STOP, row) for row in range(100)]
        assert {(row["temperature"], row["top_p"]) for row in rows} == {(0.7, 0.9)}
        assert len({row["seed"] for row in rows}) == 100 and all(0 <= row["seed"] < 2**32 for row in rows)
        assert rows[4] == sampling_arguments(settings, STOP, 4)
        assert rows[4]["seed"] != sampling_arguments(settings.model_copy(update={"seed": 6}), STOP, 4)["seed"]

    def test_a_choice_has_room_however_it_is_spelled(self) -> None:
        found = sampling_arguments(GenerationSettings(max_new_tokens=4, choices=("no", "déjà vu")), STOP, 0)
        assert found["structured_outputs"] == {"choice": ["no", "déjà vu"]} and found["max_tokens"] == 10
        assert sampling_arguments(GenerationSettings(max_new_tokens=40, choices=("no",)), STOP, 0)["max_tokens"] == 40

    def test_a_schema_goes_as_it_stands(self) -> None:
        schema = '{"type":"object","properties":{"b":{},"a":{}}}'
        found = sampling_arguments(GenerationSettings(max_new_tokens=40, json_schema=schema), STOP, 0)
        assert found["structured_outputs"] == {"json": schema} and found["max_tokens"] == 40


class TestEngine:
    def test_safetensors_alone_and_our_stop_tokens_alone(self, tmp_path: Path) -> None:
        found = engine_arguments(tmp_path, None, 512)
        assert (found["model"], found["max_model_len"], found["load_format"]) == (str(tmp_path), 512, "safetensors")
        assert found["trust_remote_code"] is False and found["enable_prefix_caching"] is True and found["generation_config"] == "vllm"
        assert not any("lora" in name for name in found)

    @pytest.mark.parametrize(("rank", "most"), [(1, 1), (2, 8), (16, 16), (17, 32), (300, 320), (512, 512)])
    def test_an_adapter_fits_the_smallest_rank_that_holds_it(self, tmp_path: Path, rank: int, most: int) -> None:
        found = engine_arguments(tmp_path, adapter(tmp_path, r=rank), 512)
        assert (found["enable_lora"], found["max_loras"], found["max_lora_rank"]) == (True, 1, most)

    def test_the_largest_rank_of_any_layer_counts(self, tmp_path: Path) -> None:
        assert engine_arguments(tmp_path, adapter(tmp_path, r=4, rank_pattern={"q_proj": 40}), 512)["max_lora_rank"] == 64

    def test_a_rank_beyond_its_limit_is_a_model_error(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="found an adapter of rank 513, wanted at most 512"):
            engine_arguments(tmp_path, adapter(tmp_path, r=513), 512)


class TestCompletion:
    def test_the_stop_token_is_no_text(self, tiny_tokenizer: FolderTokenizer) -> None:
        ids, [stop] = tiny_tokenizer.encode("Hi."), sorted(tiny_tokenizer.stop_ids)
        found = completion_of(5, [*ids, stop], "stop", tiny_tokenizer)
        assert (found.text, found.prompt_tokens, found.completion_tokens, found.stopped, found.error) == ("Hi.", 5, 3, True, None)
        assert completion_of(5, [stop], "stop", tiny_tokenizer).text == ""
        cut = completion_of(5, tuple(ids), "length", tiny_tokenizer)
        assert (cut.text, cut.completion_tokens, cut.stopped, cut.error) == ("Hi.", 3, False, None)

    @pytest.mark.parametrize("reason", ["abort", "error", None])
    def test_what_was_broken_off_is_not_measured(self, tiny_tokenizer: FolderTokenizer, reason: str | None) -> None:
        found = completion_of(5, tiny_tokenizer.encode("Hi"), reason, tiny_tokenizer)
        assert found.text is None and found.error is not None and repr(reason) in found.error


def test_without_vllm_the_message_says_what_to_install(
    tiny_folder: Path, tiny_tokenizer: FolderTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r"vLLM cannot be imported .*pip install 'provetune\[train,vllm\]'"):
        VllmGenerator(tiny_folder, None, tiny_tokenizer)
