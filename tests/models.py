"""Tiny models, tokenizers and rows, built in code and seeded, so that tests run offline and in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from provetune.chat import TokenRow
from provetune.models.locate import STARTER

torch.set_num_threads(1)  # models this small lose time, and on a busy machine minutes, to a second thread

SPECIALS = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY = len(SPECIALS) + 256
TEMPLATE = (STARTER / "chat_template.jinja").read_text(encoding="utf-8")


def byte_tokenizer(template: str | None = TEMPLATE, extra: Sequence[str] = (), *, adds_begin: bool = False) -> PreTrainedTokenizerFast:
    """One token per byte, the starter's special tokens and template; `extra` are special tokens that no setting names."""
    bytes_ = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), start=len(SPECIALS))}
    vocabulary = {token: number for number, token in enumerate(SPECIALS)} | bytes_
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([*SPECIALS, *extra])
    if adds_begin:
        backend.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 1)])
    names = {"pad_token": "<|pad|>", "bos_token": "<|begin|>", "eos_token": "<|end|>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, model_max_length=512, **names)


WORDS = ("the", "order", "parcel", "invoice", "refund", "login", "late", "again", "billing", "delivery", "access", "thanks", "where", "is")
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LINES = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}:\n{{ m.content }}{{ eos_token if m.role == 'assistant' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)
LAST_TURN = (
    "<|begin|>{% for m in messages %}{% if m.role == 'assistant' %}{% if loop.last %}{{ m.content }}<|end|>{% endif %}"
    "{% elif m.role == 'user' and messages[loop.index:] | selectattr('role', 'equalto', 'user') | list | length == 0 %}"
    "<|user|>{{ m.content }}<|assistant|>{% elif m.role == 'system' %}<|system|>{{ m.content }}{% endif %}{% endfor %}"
)


def unigram_tokenizer(template: str = INST) -> PreTrainedTokenizerFast:
    """Of SentencePiece's make: Unigram, blanks as U+2581, one more at each beginning, bytes for unknown letters; turns in plain text."""
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    letters = [chr(code) for code in range(33, 127)]
    pieces = [(token, 0.0) for token in specials] + [(f"<0x{byte:02X}>", -12.0) for byte in range(256)]
    pieces += [("\u2581", -3.0), *((letter, -6.0) for letter in letters), *(("\u2581" + letter, -7.0) for letter in letters)]
    pieces += [(word, -4.0) for word in WORDS] + [("\u2581" + word, -3.5) for word in WORDS]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(specials)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, model_max_length=512, **names)


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with merges (line feeds among them), no begin token, and the token for padding that ends a text, too."""
    text = " ".join([*WORDS, *WORDS]) + "\n\n" + "\n\n".join(WORDS) + "assistant\nthe user\nis system\n\n"
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator([text] * 4, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet))
    names = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=CHATML, model_max_length=512, **names)


def llama_config(**changes: Any) -> LlamaConfig:
    """Two layers of width 64, four heads over two key-value heads, tied embeddings."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        # five times the usual spread: attention then decides which token comes next
        "initializer_range": 0.1,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaConfig(**{**sizes, **changes})


def tiny_llama(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """The tiny model with random weights, float32, in evaluation mode."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(llama_config(**changes))
    model.eval()
    return model


def save_folder(folder: Path, model: LlamaForCausalLM | None = None, tokenizer: PreTrainedTokenizerFast | None = None) -> Path:
    """A whole model folder: config.json, model.safetensors, tokenizer, template."""
    (model or tiny_llama()).save_pretrained(folder)
    (tokenizer or byte_tokenizer()).save_pretrained(folder)
    return folder


def random_rows(lengths: Sequence[int], seed: int = 0, share: float = 0.4) -> list[TokenRow]:
    """Rows of random byte tokens; about `share` of the tokens labelled, the last one always."""
    draw = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        labelled = draw.random(length) < share
        labelled[-1] = True
        rows.append(TokenRow(draw.integers(len(SPECIALS), VOCABULARY, length), labelled))
    return rows


def random_prompts(lengths: Sequence[int], seed: int = 0, prefix: int = 0) -> list[list[int]]:
    """Prompts of random byte tokens that share their first `prefix` tokens."""
    draw = np.random.default_rng(seed)
    head = draw.integers(len(SPECIALS), VOCABULARY, prefix).tolist()
    return [head + draw.integers(len(SPECIALS), VOCABULARY, length - prefix).tolist() for length in lengths]


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Length of the difference over the length of `wanted`."""
    found, wanted = found.detach(), wanted.detach()
    return float((found.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-12))


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """A copy of every gradient, by parameter name."""
    return {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}
