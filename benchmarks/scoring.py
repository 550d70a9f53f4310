"""Completions and likelihoods of labels by rivals: generate of transformers, lm-evaluation-harness, vLLM."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from benchmarks.measure import Row


def load(job: dict[str, Any]) -> Any:
    """The model in float32 on a CPU, in its own precision on a GPU, with transformers' default attention; vLLM's own engine."""
    if job["system"] == "vllm":
        from vllm import LLM

        return LLM(model=job["model_folder"], gpu_memory_utilization=0.5)
    gpu = torch.cuda.is_available()
    model: Any = AutoModelForCausalLM.from_pretrained(job["model_folder"], dtype="auto" if gpu else torch.float32)
    return model.to("cuda" if gpu else "cpu").eval()


def _allowed(choices: Sequence[str], tokenizer: Any, stop: int, read: int) -> Callable[[int, torch.Tensor], list[int]] | None:
    """The label set in the form that transformers asks for: the tokens that may come next, by what was written after `read` tokens."""
    following: dict[tuple[int, ...], set[int]] = {}
    for choice in choices:
        ids = [*tokenizer.encode(choice, add_special_tokens=False), stop]
        for place, token in enumerate(ids):
            following.setdefault(tuple(ids[:place]), set()).add(token)
    if not following:
        return None
    return lambda row, ids: sorted(following.get(tuple(ids[read:].tolist()), {stop}))


@torch.inference_mode()
def hf_generate(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any], cached: bool = False) -> list[str]:
    """Greedy, batched, left-padded, rows of like length together; with `cached` the shared prefix is read once and its cache copied."""
    tokenizer = AutoTokenizer.from_pretrained(job["model_folder"], padding_side="left")
    prompts = [tokenizer.encode(row["text"], add_special_tokens=False) for row in rows]
    shared, cache = _read_shared(model, prompts) if cached else ([], None)
    stop, choices = work["stop_ids"], work["choices"] if job["kind"] == "choices" else []
    found = [""] * len(rows)
    order = sorted(range(len(rows)), key=lambda row: len(prompts[row]))
    for start in range(0, len(order), job["batch"]):
        places = order[start : start + job["batch"]]
        batch = tokenizer.pad({"input_ids": [prompts[place][len(shared) :] for place in places]}, return_tensors="pt").to(model.device)
        head = torch.tensor([shared] * len(places), dtype=torch.long, device=model.device)
        ids = torch.cat([head, batch["input_ids"]], dim=1)
        mask = torch.cat([torch.ones_like(head), batch["attention_mask"]], dim=1)
        past = {}
        if cache is not None:
            past["past_key_values"] = copy.deepcopy(cache)
            past["past_key_values"].batch_repeat_interleave(len(places))
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=work["max_new_tokens"],
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=tokenizer.pad_token_id,
            prefix_allowed_tokens_fn=_allowed(choices, tokenizer, stop[0], ids.shape[1]),
            **past,
        )
        for place, text in zip(places, tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True), strict=True):
            found[place] = text
    return found


def _read_shared(model: Any, prompts: list[list[int]]) -> tuple[list[int], Any]:
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    length = next((place for place in range(limit) if first[place] != last[place]), limit)
    cache = DynamicCache(config=model.config)
    model(torch.tensor([first[:length]], device=model.device), past_key_values=cache, logits_to_keep=1)
    return first[:length], cache


def _harness(model: Any, job: dict[str, Any]) -> Any:
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

    tokenizer = AutoTokenizer.from_pretrained(job["model_folder"])
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=job["batch"], add_bos_token=False)


def _requests(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance  # type: ignore[import-not-found]

    return [Instance(request_type=kind, doc={}, arguments=each, idx=place) for place, each in enumerate(arguments)]


def harness_generate(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any]) -> list[str]:
    """lm-evaluation-harness, `generate_until`: greedy, until the end token."""
    settings = {"until": [], "max_gen_toks": work["max_new_tokens"], "do_sample": False}
    requests = _requests("generate_until", [(row["text"], settings) for row in rows])
    found: list[str] = _harness(model, job).generate_until(requests, disable_tqdm=True)
    return found


def harness_nats(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any]) -> list[list[float]]:
    """lm-evaluation-harness, `loglikelihood`: nats of every choice after every prompt."""
    choices = work["choices"]
    requests = _requests("loglikelihood", [(row["text"], choice) for row in rows for choice in choices])
    found = [-nats for nats, _ in _harness(model, job).loglikelihood(requests, disable_tqdm=True)]
    return [found[start : start + len(choices)] for start in range(0, len(found), len(choices))]


def vllm_generate(model: Any, rows: Sequence[Row], job: dict[str, Any], work: dict[str, Any]) -> list[str]:
    """vLLM, its defaults (prefix caching on), greedy."""
    from vllm import SamplingParams

    settings = SamplingParams(temperature=0.0, max_tokens=work["max_new_tokens"], stop_token_ids=work["stop_ids"])
    return [out.outputs[0].text for out in model.generate([row["text"] for row in rows], settings, use_tqdm=False)]


SCORED_BY: dict[str, Callable[..., Any]] = {
    "hf-generate": hf_generate,
    "hf-prefix-cache": partial(hf_generate, cached=True),
    "lm-eval": harness_generate,
    "lm-eval-nats": harness_nats,
    "vllm": vllm_generate,
}
