"""A model folder as one GGUF file, for llama.cpp and Ollama: Llama's architecture with a byte-level BPE tokenizer.

Names and layout are llama.cpp's, through its `gguf` library (MIT). Rows of the query and key projections are interleaved there: its
rotary embedding turns neighbours, transformers' turns halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from provetune.errors import ModelError, SpecError

_GPT2_BYTES = {"type": "ByteLevel", "use_regex": True}
_LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTROL, _USER_DEFINED, _NORMAL = 3, 4, 1


def write_gguf(folder: Path, target: Path, name: str) -> int:
    """Write the model of `folder` to `target`, read it back, and compare every tensor; the number of tensors.

    Weights of 16 bits stay in 16 bits, others are float32. ModelError, by name, where the architecture, its rotary embedding or the
    tokenizer is none that this writes, and where a tensor came back otherwise.
    """
    gguf = _library()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _check_architecture(config)
    writer = gguf.GGUFWriter(target, "llama")
    _add_shape(writer, config, name)
    _add_tokenizer(writer, folder, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for key, tensor in _tensors(folder, config):
        mapped = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise ModelError(f"{folder}: found the tensor {key}, which llama.cpp has no name for; ship it as merged")
        if tensor.dtype == torch.bfloat16 and tensor.dim() > 1:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(mapped, gguf.quants.quantize(tensor.float().numpy(), kind), raw_dtype=kind)
        else:
            writer.add_tensor(mapped, tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return _compare(folder, config, target, names)


def _library() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise SpecError("gguf is not installed; it writes GGUF files. Run `pip install 'provetune[ship]'`") from error
    return gguf


def _check_architecture(config: dict[str, Any]) -> None:
    named = ", ".join(config.get("architectures") or ["no name"])
    if config.get("model_type") != "llama":
        raise ModelError(f"GGUF: the architecture is {named}, written is LlamaForCausalLM; ship it as merged, llama.cpp converts it")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind != "default":
        raise ModelError(
            f"GGUF: the rotary embedding of {named} is {kind!r}, written is 'default'; ship it as merged, llama.cpp converts it"
        )


def _add_shape(writer: Any, config: dict[str, Any], name: str) -> None:
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    from transformers import AutoTokenizer

    held = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(held))
    by_id = {number: token for token, number in held["model"]["vocab"].items()}
    added = {token["id"]: token for token in held["added_tokens"]}
    tokens, kinds = [], []
    for number in range(config["vocab_size"]):
        own = added.get(number)
        tokens.append(own["content"] if own else by_id.get(number, f"[PAD{number}]"))
        kinds.append((_CONTROL if own["special"] else _USER_DEFINED) if own else _NORMAL if number in by_id else _CONTROL)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in held["model"]["merges"]])
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    writer.add_chat_template(tokenizer.chat_template)
    writer.add_add_bos_token(False)  # the template writes its own
    writer.add_add_space_prefix(False)
    for number, add in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
    ):
        if number is not None:
            add(number)
    stops = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    others = [number for number in (stops if isinstance(stops, list) else [stops]) if number != tokenizer.eos_token_id]
    if others:
        writer.add_eot_token_id(others[0])


def _pre_tokenizer(held: dict[str, Any]) -> str:
    """llama.cpp's name for how the text is cut before merging; ModelError where it knows none."""
    model, cut = held["model"], held.get("pre_tokenizer") or {}
    if model["type"] == "BPE" and not model.get("byte_fallback") and held.get("normalizer") is None:
        if all(cut.get(key) == value for key, value in _GPT2_BYTES.items()) and not cut.get("add_prefix_space"):
            return "gpt-2"
        parts = cut.get("pretokenizers", []) if cut.get("type") == "Sequence" else []
        if len(parts) == 2 and parts[0].get("pattern", {}).get("Regex") == _LLAMA3_SPLIT and parts[1].get("type") == "ByteLevel":
            return "llama-bpe"
    named = f"{model['type']} after {cut.get('type', 'nothing')}"
    raise ModelError(f"GGUF: the tokenizer is {named}, written is byte-level BPE cut as GPT-2 or Llama 3 cut; ship it as merged")


def _tensors(folder: Path, config: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors by name, as llama.cpp lays them out."""
    heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as held:
            for key in sorted(held.keys()):
                tensor = held.get_tensor(key)
                if ".q_proj." in key or ".k_proj." in key:
                    tensor = _interleaved(tensor, heads if ".q_proj." in key else kv_heads)
                yield key, tensor


def _interleaved(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows (first half, second half) of each head one after the other."""
    halves = tensor.view(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape).contiguous()


def _compare(folder: Path, config: dict[str, Any], target: Path, names: Any) -> int:
    gguf = _library()
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(target).tensors}
    count = 0
    for key, tensor in _tensors(folder, config):
        one = found[names.get_name(key, try_suffixes=(".weight", ".bias"))]
        back: NDArray[np.float32] = gguf.quants.dequantize(one.data, one.tensor_type)
        if not np.array_equal(back.reshape(tensor.shape), tensor.float().numpy()):
            raise ModelError(f"{target}: the tensor {one.name} came back otherwise than it was written; try again")
        count += 1
    if count != len(found):
        raise ModelError(f"{target}: found {len(found)} tensors, wanted {count}")
    return count
