"""Public bias sets read from their own files: BBQ, WinoBias, Winogender. None of them is part of this package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from provetune.errors import DataError, SpecError
from provetune.hashing import fingerprint

SENTENCE = "Write one sentence about people at work."
"""What the sentences of WinoBias and Winogender are taken to answer."""
WINOBIAS, WINOGENDER = "WinoBias", "Winogender"


@dataclass(frozen=True)
class BiasItem:
    """A prompt and the options of which the likeliest is the model's answer.

    BBQ has three options: the stereotyped answer stands at place `biased`, "unknown" at `unknown`, the right one at `right`.
    Sentence pairs have two, the stereotyped (for Winogender the male) one first. Items of one `group` share a template.
    """

    name: str
    group: str
    prompt: str
    options: tuple[str, ...]
    ambiguous: bool = False
    biased: int = 0
    unknown: int | None = None
    right: int | None = None


@dataclass(frozen=True)
class BiasSet:
    """The items of one file or folder; `unresolved` rows name no stereotyped or no unknown option, or more than one."""

    path: str
    kind: Literal["bbq", "winobias", "winogender"]
    items: tuple[BiasItem, ...]
    unresolved: int = 0

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of the measures that a rule may be made of; Winogender says nothing of stereotypes and is only shown."""
        names = tuple(dict.fromkeys(item.name for item in self.items))
        if self.kind == "bbq":
            return tuple(f"{name}, {condition}" for name in names for condition in ("ambiguous", "disambiguated"))
        return names if self.kind == "winobias" else ()

    @property
    def sha256(self) -> str:
        """What decides the scores, beside the model."""
        return fingerprint([self.kind, *([i.name, i.prompt, list(i.options), i.biased, i.unknown, i.right] for i in self.items)])


def load_bias_set(path: str, folder: Path) -> BiasSet:
    """BBQ from a `.jsonl` file, Winogender from a `.tsv` file, WinoBias from a folder with its text files.

    Raises SpecError where there is no such set, DataError with file and line where a row is not of its format.
    """
    file = folder / path
    wanted = "wanted BBQ (.jsonl), Winogender (.tsv) or a folder with WinoBias, relative to the project folder"
    try:
        if file.is_dir():
            items, unresolved = tuple(_winobias(file)), 0
        elif file.suffix == ".jsonl":
            found = list(_bbq(file))
            items, unresolved = tuple(item for item in found if item is not None), found.count(None)
        elif file.suffix == ".tsv":
            items, unresolved = tuple(_winogender(file)), 0
        else:
            raise SpecError(f"prove.fairness.sets: {file}: {wanted}")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"prove.fairness.sets: {file} cannot be read ({error}); {wanted}") from error
    if not items:
        raise SpecError(f"prove.fairness.sets: {file}: found no items; {wanted}")
    kind: Literal["bbq", "winobias", "winogender"] = "winobias" if file.is_dir() else "bbq" if file.suffix == ".jsonl" else "winogender"
    return BiasSet(path, kind, items, unresolved)


def _bbq(file: Path) -> Iterator[BiasItem | None]:
    """Parrish et al. 2022 (arXiv 2110.08193); None for a row whose options cannot be told apart."""
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _bbq_item(json.loads(line))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{file}:{number}: no row of BBQ ({type(error).__name__}: {error}); restore the published file") from error


def _bbq_item(row: dict[str, Any]) -> BiasItem | None:
    told = [row["answer_info"][f"ans{k}"] for k in range(3)]
    stereotyped = set(row["additional_metadata"]["stereotyped_groups"])
    unknown = [k for k, one in enumerate(told) if one[1] == "unknown"]
    target = [k for k, one in enumerate(told) if k not in unknown and ({one[0], one[1]} & stereotyped)]
    if len(unknown) != 1 or len(target) != 1:
        return None
    other = 3 - unknown[0] - target[0]
    return BiasItem(
        name=f"BBQ {row['category']}",
        group=f"{row['category']} {row['question_index']}",
        prompt=f"{row['context']} {row['question']}",
        options=tuple(row[f"ans{k}"] for k in range(3)),
        ambiguous=row["context_condition"] == "ambig",
        biased=target[0] if row["question_polarity"] == "neg" else other,
        unknown=unknown[0],
        right=row["label"],
    )


def _winobias(folder: Path) -> Iterator[BiasItem]:
    """Zhao et al. 2018 (arXiv 1804.06876): line k of the pro-stereotyped file against line k of the anti-stereotyped one."""
    for pro in sorted(folder.glob("pro_stereotyped_type*.txt.*")):
        anti = pro.with_name(pro.name.replace("pro_", "anti_", 1))
        lines = [[_sentence(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()] for file in (pro, anti)]
        if len(lines[0]) != len(lines[1]):
            raise DataError(f"{pro}: {len(lines[0])} sentences, but {anti.name} has {len(lines[1])}; restore the published files")
        for number, options in enumerate(zip(*lines, strict=True)):
            # two sentences in a row speak of the same two occupations
            yield BiasItem(WINOBIAS, f"{pro.name} {number // 2}", SENTENCE, options)


def _sentence(line: str) -> str:
    return re.sub(r"^\d+\s+", "", line).replace("[", "").replace("]", "").strip()


def _winogender(file: Path) -> Iterator[BiasItem]:
    """Rudinger et al. 2018 (arXiv 1804.09301): the sentence with a male against the one with a female pronoun."""
    sentences: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()[1:], start=2):
        name, tab, sentence = line.partition("\t")
        if not tab:
            raise DataError(f"{file}:{number}: found no tab; wanted `sentid` and `sentence` as published")
        sentences[name] = sentence
    for name, sentence in sentences.items():
        female = sentences.get(name.replace(".male.", ".female."))
        if ".male." in name and female is not None:
            yield BiasItem(WINOGENDER, name.split(".")[0], SENTENCE, (sentence, female))
