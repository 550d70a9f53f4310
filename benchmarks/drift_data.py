"""The three scenarios of drifting text, from public data: rows as they were held out, and rows that arrive from elsewhere."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from provetune.monitoring.text import masked, sameness, words_of

FOLDER = Path(os.environ.get("PROVETUNE_TEST_DATA", "../shared/data"))
_MALICIOUS = re.compile(r"malicious (crate|package|code)", re.IGNORECASE)


@dataclass(frozen=True)
class Scenario:
    """Texts of the usual kind, and texts of a kind that was never seen; distinct after masking."""

    name: str
    usual: tuple[str, ...]
    unseen: tuple[str, ...]

    def draw(self, sizes: tuple[int, int], share: float, seed: int) -> tuple[list[str], list[str]]:
        """A reference and a window of these sizes, `share` of the window from the unseen kind; all of them different texts."""
        random = np.random.default_rng([seed, 12])
        planted = round(share * sizes[1])
        own = random.permutation(len(self.usual))[: sizes[0] + sizes[1] - planted]
        other = random.permutation(len(self.unseen))[:planted]
        assert len(own) == sum(sizes) - planted and len(other) == planted, f"{self.name}: too few rows for {sizes}"
        window = [self.usual[place] for place in own[sizes[0] :]] + [self.unseen[place] for place in other]
        return [self.usual[place] for place in own[: sizes[0]]], window


@cache
def advisories() -> list[dict[str, str]]:
    """RustSec's advisories by date: text, date and kind of each; notices, repetitions and texts under 15 words left out."""
    rows = [json.loads(line) for line in (FOLDER / "rustsec" / "advisories.jsonl").read_text(encoding="utf-8").splitlines()]
    found, seen = [], set()
    for row in sorted(rows, key=lambda one: (one["date"], one["id"])):
        text = f"{row['title']}\n{row['text']}"
        text = re.sub(rf"\b{re.escape(row['package'])}\b", " ", text, flags=re.IGNORECASE)
        key = sameness(text)
        if key in seen or len(masked(text).split()) < 15:
            continue
        seen.add(key)
        kind = row["informational"] or "vulnerability"
        if "malicious" in " ".join(row["categories"]).lower() or _MALICIOUS.search(text):
            kind = "malicious"
        found.append({"text": text, "date": row["date"], "kind": kind})
    return found


def rustsec() -> Scenario:
    """A: long texts; the unseen kind are advisories about malicious crates."""
    rows = advisories()
    return Scenario(
        "A RustSec", tuple(r["text"] for r in rows if r["kind"] != "malicious"), tuple(r["text"] for r in rows if r["kind"] == "malicious")
    )


def _distinct(texts: list[tuple[str, bool]], name: str) -> Scenario:
    seen: set[str] = set()
    sides: tuple[list[str], list[str]] = ([], [])
    for text, unseen in texts:
        key = sameness(text)
        if key not in seen and words_of(text):
            seen.add(key)
            sides[unseen].append(text)
    return Scenario(name, tuple(sides[0]), tuple(sides[1]))


def clinc150() -> Scenario:
    """B: short requests; two domains, travel and cars, are unseen."""
    rows = json.loads((FOLDER / "clinc150" / "data_small.json").read_text(encoding="utf-8"))
    domains = json.loads((FOLDER / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    away = {intent.replace(" ", "_") for name in ("travel", "auto_and_commute") for intent in domains[name]}
    return _distinct([(text, label in away) for part in ("train", "val", "test") for text, label in rows[part]], "B CLINC150")


def banking77() -> Scenario:
    """C: short requests of one bank; every 8th intent, sorted, is unseen."""
    rows = labelled_banking()
    away = set(sorted({label for _, label in rows})[::8])
    return _distinct([(text, label in away) for text, label in rows], "C Banking77")


@cache
def labelled_banking() -> list[tuple[str, str]]:
    """Banking77's rows with their labels, training and test."""
    found = []
    for part in ("train", "test"):
        with (FOLDER / "banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            found += [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return found


def made_up() -> Scenario:
    """S: made of random words with Zipf's frequencies, so that nothing but chance is in it; the unseen kind prefers other words."""
    random = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(random.choice(letters, 7)) for _ in range(3000)])
    shares = 1 / np.arange(1, len(words) + 1)
    shares /= shares.sum()

    def texts(count: int, chances: np.ndarray) -> tuple[str, ...]:
        return tuple(" ".join(words[random.choice(len(words), 14, p=chances)]) for _ in range(count))

    return Scenario("S made up", texts(4000, shares), texts(1000, random.permutation(shares)))
