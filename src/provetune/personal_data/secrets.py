"""Forms of keys, tokens and passwords, as their issuers document them; and values that are called a password and look like one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

SECRETS: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    "private_key": (("PRIVATE KEY",), re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    "aws_key": (("AKIA", "ASIA"), re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])")),
    "github_token": (
        ("gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_"),
        re.compile(r"(?<!\w)(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?!\w)"),
    ),
    "gitlab_token": (("glpat-",), re.compile(r"(?<!\w)glpat-[\w-]{20,}")),
    "slack_token": (
        ("xox", "hooks.slack"),
        re.compile(r"(?<!\w)xox[abeoprs]-[\w-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w{20,}"),
    ),
    "stripe_key": (("k_live_",), re.compile(r"(?<!\w)[rs]k_live_\w{20,}")),
    "google_key": (("AIza",), re.compile(r"(?<!\w)AIza[\w-]{35}(?![\w-])")),
    "model_provider_key": (
        ("sk-", "hf_", "gsk_"),
        re.compile(r"(?<!\w)(?:sk-(?:proj-|ant-)?[\w-]{32,}|hf_[A-Za-z]{34}|gsk_[A-Za-z0-9]{48,})(?![\w-])"),
    ),
    "package_token": (("npm_", "pypi-"), re.compile(r"(?<!\w)(?:npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,})")),
    "sendgrid_key": (("SG.",), re.compile(r"(?<!\w)SG\.[\w-]{22}\.[\w-]{43}(?![\w-])")),
    "azure_key": (("AccountKey=",), re.compile(r"(?<!\w)AccountKey=[A-Za-z0-9+/]{80,}={0,2}")),
    "jwt": (("eyJ",), re.compile(r"(?<!\w)eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    "url_password": (("://",), re.compile(r"\w://[^\s/:@]{1,100}:[^\s/:@]{3,100}@[\w.-]+")),
}
"""Kind -> words of which one stands in every such secret, and its form: most texts are done with after a search for the words."""

_CALLED = ("passw", "passphrase", "secret", "key", "token")
_ASSIGNED = re.compile(
    r"(?:passw(?:or)?d|passphrase|secret|api[ _-]?key|access[ _-]?key|auth[ _-]?token|access[ _-]?token)"
    r"[\"']?\s{0,3}(?:[:=]|is)\s{0,3}[\"']?([^\s\"',;]{8,200})",
    re.IGNORECASE,
)
BITS = 3.0
"""Entropy of a value's letters from which on it looks drawn by chance, in bits a letter; English words of 8 to 20 letters have 2 to 3.4,
so that digits are wanted beside letters."""


def assigned(text: str) -> Iterator[tuple[int, int]]:
    """Places of values that are called a password, key or token and look drawn by chance."""
    lowered = text.lower()
    if not any(word in lowered for word in _CALLED):
        return
    for match in _ASSIGNED.finditer(text):
        value = match[1]
        if re.search(r"\d", value) and re.search(r"[A-Za-z]", value) and "://" not in value and entropy(value) >= BITS:
            yield match.span(1)


def entropy(text: str) -> float:
    """Shannon entropy of the letters, in bits a letter.

    >>> entropy("aabb"), entropy("abcd")
    (1.0, 2.0)
    """
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
