"""Forms of personal data and secrets: published examples, numbers that only look alike, counts on public data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import SpecError
from provetune.personal_data import KINDS, find, find_secrets, masked
from provetune.personal_data.forms import luhn

# Examples that the issuers or standards publish, or numbers whose check digits were computed by their published rule.
PUBLISHED = [
    ("email", "first.last+tag@sub.example.co.uk"),
    ("credit_card", "4111 1111 1111 1111"),
    ("credit_card", "378282246310005"),
    ("credit_card", "5555-5555-5555-4444"),
    ("credit_card", "6011111111111117"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "DE89370400440532013000"),
    ("iban", "fr14 2004 1010 0505 0001 3m02 606"),
    ("iban", "MT84MALT011000012345MTLCAST001S"),
    ("us_ssn", "078-05-1120"),
    ("uk_nino", "AB 12 34 56 C"),
    ("es_nif", "12345678Z"),
    ("es_nif", "X1234567L"),
    ("fr_nir", "2 55 08 14 168 025 38"),
    ("it_fiscal_code", "RSSMRA85T10A562S"),
    ("br_cpf", "111.444.777-35"),
    ("ip_address", "192.0.2.146"),
    ("ip_address", "2001:db8::8a2e:370:7334"),
    ("mac_address", "00:1B:44:11:3A:B7"),
    ("phone", "+49 30 1234567"),
    ("phone", "(555) 234-5678"),
    ("phone", "555-234-5678x123"),
    ("phone", "020 7946 0018"),
    ("phone", "0041 44 668 18 00"),
]
NOTHING = [
    "4111 1111 1111 1112",  # wrong check digit
    "1234567890123456",  # no network begins so
    "GB82 WEST 1234 5698 7654 33",
    "XX82 WEST 1234 5698 7654 32",  # no such country
    "000-12-3456",
    "666-12-3456",
    "12345678A",
    "111.444.777-36",
    "version 10.0.19.45 of the driver",
    "127.0.0.1",
    "256.1.1.1",
    "see section 1.2.3.4.5",
    "at 12:30:45 on 2023-04-17",
    "from 2003 to 2009",
    "from 1914-1918",
    "between 1998 1999",
    "in 17.04.2023 14",
    "the population is 12 500 000",
    "order number 555-234-5678",
    "370 3911 Fourth Avenue",
    "a ratio of 3:4",
    "user @ home",
    "1,234,567.89",
    "pi is 3.14159265358979",
]


@pytest.mark.parametrize(("kind", "text"), PUBLISHED)
@pytest.mark.parametrize("frame", ["{}", "It is {}.", "({})", "is it {}, or not?\nno"])
def test_published_numbers_are_found_whole(kind: str, text: str, frame: str) -> None:
    whole = frame.format(text)
    assert [(hit.kind, whole[hit.start : hit.end]) for hit in find(whole)] == [(kind, text)]


@pytest.mark.parametrize("text", NOTHING)
def test_numbers_that_look_alike_are_left_alone(text: str) -> None:
    assert find(text) == []


def test_a_bare_number_is_a_phone_only_behind_a_word_about_phones() -> None:
    assert find("9498777106") == []
    assert [hit.kind for hit in find("Call me at 9498777106 tonight")] == ["phone"]
    assert [hit.kind for hit in find("Fax: 9498777106")] == ["phone"]
    assert find("Call about order 9498777106") == []


@given(st.integers(10**11, 10**18))
def test_luhn_is_its_definition(number: int) -> None:
    total = 0
    for place, digit in enumerate(reversed(str(number))):
        doubled = 2 * int(digit) if place % 2 else int(digit)
        total += doubled // 10 + doubled % 10
    assert luhn(str(number)) == (total % 10 == 0)


def test_kinds_can_be_chosen_and_must_exist() -> None:
    text = "jo@example.org, 4111 1111 1111 1111"
    assert [hit.kind for hit in find(text, ["credit_card"])] == ["credit_card"]
    with pytest.raises(SpecError, match="names 'adress'; known are email, iban"):
        find(text, ["adress"])


@given(st.text())
def test_hits_are_ordered_and_apart_and_masking_removes_them(text: str) -> None:
    hits = find(text)
    assert all(a.end <= b.start for a, b in zip(hits, hits[1:], strict=False))
    assert find(masked(text, hits)) == []


def test_masking_keeps_the_rest() -> None:
    text = "Mail jo@example.org or call +49 30 1234567, please."
    assert masked(text, find(text)) == "Mail [EMAIL] or call [PHONE], please."


NAMES = {
    "CREDIT_CARD": "credit_card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "IP_ADDRESS": "ip_address",
}


@pytest.mark.parametrize("half", [0, 1])
def test_recall_and_precision_on_synthetic_texts(public_data: Path, half: int) -> None:
    rows = json.loads((public_data / "presidio_synth" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    there, found, right = Counter[str](), Counter[str](), Counter[str]()
    for row in (row for row in rows if row["template_id"] % 2 == half):
        hits = find(row["full_text"])
        wanted = [(NAMES[s["entity_type"]], s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] in NAMES]
        there.update(kind for kind, _, _ in wanted)
        found.update(hit.kind for hit in hits)
        right.update(hit.kind for hit in hits if any(hit.kind == k and hit.start < end and start < hit.end for k, start, end in wanted))
    assert set(there) == set(NAMES.values())
    assert all(right[kind] >= 0.95 * there[kind] for kind in there), (right, there)
    assert all(right[kind] >= 0.8 * found[kind] for kind in there), (right, found)


def fake(prefix: str, letters: str) -> str:
    """A made-up secret, put together here so that no scanner takes this file for a leak."""
    return prefix + letters


SECRETS = [
    ("private_key", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow"),
    ("aws_key", fake("AKIA", "IOSFODNN7EXAMPLE")),
    ("github_token", fake("ghp_", "a1B2" * 9)),
    ("gitlab_token", fake("glpat-", "x9" * 10)),
    ("slack_token", fake("xoxb-", "123456789012-abcdefGHIJ")),
    ("stripe_key", fake("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc")),
    ("google_key", fake("AIza", "SyD" + "9" * 32)),
    ("model_provider_key", fake("sk-proj-", "Ab3" * 16)),
    ("jwt", fake("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N")),
    ("url_password", fake("postgres://admin:", "hunter2@db.example.org")),
    ("password", "password: kX9vT2qLm8Zr4"),
]


@pytest.mark.parametrize(("kind", "text"), SECRETS)
def test_secrets_are_found(kind: str, text: str) -> None:
    assert [hit.kind for hit in find_secrets(f"use {text} here")] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password",
        "password: incorrect",
        "the key is under the mat",
        "my secret = nothing",
        "https://example.org:8080/a@b",
        "sk-1",
    ],
)
def test_talk_about_secrets_is_none(text: str) -> None:
    assert find_secrets(text) == []


def test_every_kind_has_a_published_example() -> None:
    assert {kind for kind, _ in PUBLISHED} == set(KINDS)
