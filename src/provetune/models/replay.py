"""Ask a package its golden prompts with transformers alone, and compare every text with what was measured.

Run as `python replay.py [FOLDER] [--base FOLDER_OR_NAME] [--gguf FILE]`; the exit code is 0 where all texts are equal.
It stands by itself: a copy lies in every package and needs torch, transformers and, for an adapter, peft.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def main() -> int:
    """Print one JSON object: how many texts are equal, and those that are not."""
    parser = argparse.ArgumentParser(description="Ask a package its golden prompts and compare every text.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--base", help="the base model of an adapter: a folder or a hub name")
    parser.add_argument("--gguf", help="a GGUF file in the folder, read by transformers' own loader")
    arguments = parser.parse_args()
    found = replay(arguments.folder, arguments.base, arguments.gguf)
    print(json.dumps(found, ensure_ascii=False))
    return 0 if found["equal"] == found["prompts"] else 1


def replay(folder: Path, base: str | None = None, gguf: str | None = None) -> dict[str, Any]:
    """Counts of prompts and of equal texts, the dtype, and for each differing one its id and both texts."""
    import torch

    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    torch.use_deterministic_algorithms(True, warn_only=True)
    tokenizer, model = loaded(folder, golden, base, gguf)
    differing = []
    for prompt in golden["prompts"]:
        text = written(model, tokenizer, prompt, golden)
        if text != prompt["text"]:
            differing.append({"id": prompt["id"], "wanted": prompt["text"], "found": text})
    count = len(golden["prompts"])
    return {"prompts": count, "equal": count - len(differing), "dtype": str(model.dtype).removeprefix("torch."), "differing": differing}


def loaded(folder: Path, golden: dict[str, Any], base: str | None, gguf: str | None) -> tuple[Any, Any]:
    """Tokenizer and model through transformers' and PEFT's own loaders."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if gguf is not None:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not (folder / "adapter_config.json").is_file():
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).eval()
    from peft import PeftModel

    named = base or json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    model = AutoModelForCausalLM.from_pretrained(named, dtype=golden["dtype"], use_safetensors=True, trust_remote_code=False)
    return tokenizer, PeftModel.from_pretrained(model, str(folder)).eval()


def written(model: Any, tokenizer: Any, prompt: dict[str, Any], golden: dict[str, Any]) -> str:
    """What the model writes for one prompt: the likeliest token each time, held to the choices where there are any."""
    import torch

    ids = tokenizer.apply_chat_template(
        prompt["messages"], tools=prompt.get("tools"), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    length = ids["input_ids"].shape[1]
    held = {"prefix_allowed_tokens_fn": allowed(golden["choices"], golden["stop_ids"], length)} if golden["choices"] else {}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else golden["stop_ids"][0]
    with torch.inference_mode():
        out = model.generate(
            **{name: value.to(model.device) for name, value in ids.items() if name in ("input_ids", "attention_mask")},
            **held,
            do_sample=False,
            max_new_tokens=golden["max_new_tokens"],
            eos_token_id=golden["stop_ids"],
            pad_token_id=pad,
        )
    text: str = tokenizer.decode(out[0][length:], skip_special_tokens=True)
    return text


def allowed(choices: Sequence[Sequence[int]], stop_ids: Sequence[int], start: int) -> Callable[[int, Any], list[int]]:
    """Which tokens may come next so that what stands after place `start` stays the beginning of a choice."""

    def next_tokens(_: int, ids: Any) -> list[int]:
        so_far = ids[start:].tolist()
        fitting = [choice for choice in choices if choice[: len(so_far)] == so_far]
        ends = list(stop_ids) if any(len(choice) == len(so_far) for choice in fitting) else []
        return ends + sorted({choice[len(so_far)] for choice in fitting if len(choice) > len(so_far)})

    return next_tokens


if __name__ == "__main__":
    sys.exit(main())
