"""vLLM on a GPU, behind `protocols.Generator`: optional, `pip install 'provetune[train,vllm]'`.

The tokens of a prompt, the stop tokens and the text of a completion come from our own tokenizer and template, as everywhere.
Written against the sources of vLLM 0.33 (https://docs.vllm.ai); a completion may differ from that of
`TransformersGenerator` where two tokens are about equally likely, since the sums are taken in another order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provetune.chat import encode_prompt
from provetune.errors import ModelError
from provetune.hashing import seed_of
from provetune.protocols import Completion, Progress, Tokenizer
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `max_lora_rank` may be."""


def engine_arguments(model_folder: Path, adapter_folder: Path | None, context_length: int) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`: safetensors only, no remote code, no settings but ours, a cache of prefixes.

    Raises ModelError where the adapter's rank is more than vLLM can hold.
    """
    arguments: dict[str, Any] = {
        "model": str(model_folder),
        "dtype": "auto",
        "load_format": "safetensors",
        "trust_remote_code": False,
        "generation_config": "vllm",  # the folder's own would add stop tokens
        "max_model_len": context_length,
        "enable_prefix_caching": True,
        "seed": 0,
    }
    if adapter_folder is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _lora_rank(adapter_folder)}
    return arguments


def sampling_arguments(settings: GenerationSettings, stop_ids: frozenset[int], row: int) -> dict[str, Any]:
    """Keyword arguments of `vllm.SamplingParams` for the prompt at place `row`.

    `structured_outputs`, where it is there, holds those of `vllm.sampling_params.StructuredOutputsParams`.

    >>> sampling_arguments(GenerationSettings(max_new_tokens=4, choices=("yes", "no")), frozenset({2}), 0)["structured_outputs"]
    {'choice': ['yes', 'no']}
    """
    arguments: dict[str, Any] = {
        "temperature": settings.temperature,
        "max_tokens": settings.max_new_tokens,
        "stop_token_ids": sorted(stop_ids),
        "detokenize": False,
    }
    if settings.temperature > 0:
        arguments |= {"top_p": settings.top_p, "seed": seed_of(settings.seed, row)}
    if settings.choices:
        # a choice is written whole, and may be spelled in as many tokens as it has bytes; then comes a stop token
        longest = max(len(text.encode()) for text in settings.choices)
        arguments["max_tokens"] = max(settings.max_new_tokens, longest + 1)
        arguments["structured_outputs"] = {"choice": list(settings.choices)}
    elif settings.json_schema is not None:
        arguments["structured_outputs"] = {"json": settings.json_schema}
    return arguments


def completion_of(prompt_tokens: int, token_ids: Sequence[int], finish_reason: str | None, tokenizer: Tokenizer) -> Completion:
    """What vLLM wrote as a Completion: its `token_ids` end with the stop token where `finish_reason` is `stop`."""
    if finish_reason not in ("stop", "length"):
        return Completion(None, prompt_tokens, 0, False, f"vLLM ended the completion with {finish_reason!r}")
    ids = list(token_ids)
    if ids and ids[-1] in tokenizer.stop_ids:
        ids.pop()
    return Completion(tokenizer.decode(ids), prompt_tokens, len(ids), finish_reason == "stop")


class VllmGenerator:
    """Completions of the model in a folder, with an adapter where one is named; prompts longer than the context are not measured.

    Takes most of the GPU's memory from the moment it is made. Raises ModelError where vLLM is not installed or cannot load the model.
    """

    def __init__(self, model_folder: Path, adapter_folder: Path | None, tokenizer: Tokenizer) -> None:
        try:
            from vllm import LLM
            from vllm.lora.request import LoRARequest
        except ImportError as error:
            raise ModelError(
                f"vLLM cannot be imported ({error}); it needs Linux and a GPU. Run `pip install 'provetune[train,vllm]'`, "
                "or let the model run without it"
            ) from error
        arguments = engine_arguments(model_folder, adapter_folder, tokenizer.context_length)
        try:
            self._engine: Any = LLM(**arguments)
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(f"{model_folder}: vLLM could not load the model ({error})") from error
        self._adapter = None if adapter_folder is None else LoRARequest(adapter_folder.name, 1, str(adapter_folder))
        self.tokenizer = tokenizer

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Complete each conversation with one assistant turn, in order."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        ids = [encode_prompt(messages, self.tokenizer) for messages in prompts]
        limit = self.tokenizer.context_length - settings.max_new_tokens
        fitting = [place for place, row in enumerate(ids) if len(row) <= limit]
        wanted = []
        for place in fitting:
            arguments = sampling_arguments(settings, self.tokenizer.stop_ids, place)
            if "structured_outputs" in arguments:
                arguments["structured_outputs"] = StructuredOutputsParams(**arguments["structured_outputs"])
            wanted.append(SamplingParams(**arguments))
        asked = [{"prompt_token_ids": ids[place]} for place in fitting]
        written = self._engine.generate(asked, wanted, use_tqdm=False, lora_request=self._adapter) if asked else []
        found = [Completion(None, len(row), 0, False, f"the prompt has {len(row)} tokens, the context leaves {limit}") for row in ids]
        for place, result in zip(fitting, written, strict=True):
            best = result.outputs[0]
            found[place] = completion_of(len(ids[place]), best.token_ids, best.finish_reason, self.tokenizer)
        progress("completions", len(prompts), len(prompts))
        return found


def _lora_rank(adapter_folder: Path) -> int:
    """The smallest rank that vLLM can be set to and that holds the adapter's."""
    config = json.loads((adapter_folder / "adapter_config.json").read_text(encoding="utf-8"))
    rank = max([int(config["r"]), *map(int, config.get("rank_pattern", {}).values())])
    fitting = [most for most in LORA_RANKS if most >= rank]
    if not fitting:
        raise ModelError(f"{adapter_folder}: found an adapter of rank {rank}, wanted at most {LORA_RANKS[-1]} for vLLM; tune a smaller one")
    return fitting[0]
