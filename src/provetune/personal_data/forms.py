"""Forms of personal data: mailboxes, phone, card and account numbers, tax numbers, addresses of machines.

Sources: ISO/IEC 7812 (cards, Luhn), ISO 13616 (IBAN), E.164 and the North American Numbering Plan
(phones), RFC 5321 (mailboxes), RFC 4291 (IPv6), SSA (Social Security numbers), and each country's rules for its own numbers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = (2 * int(digit) - 9 * (digit > "4") if place % 2 else int(digit) for place, digit in enumerate(reversed(digits)))
    return sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether country, length and the two check digits agree (ISO 13616); spaces and hyphens may stand anywhere.

    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB82 WEST 1234 5698 7654 33")
    (True, False)
    """
    letters = re.sub(r"[ -]", "", text).upper()
    if len(letters) != _IBAN_LENGTHS.get(letters[:2]):
        return False
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB PL",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
    }.items()
    for country in countries.split()
}
# Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay and Maestro: prefix and number of digits.
_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-59]|[689]\d)\d{11,16}"
    r"|35\d{14,17}|(?:2131|1800)\d{11}|(?:5[06-9]|6\d)\d{10,17}"
)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _card(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match[0])
    return _NETWORKS.fullmatch(digits) is not None and luhn(digits) and len(set(digits)) > 1


def _machine(text: str, match: re.Match[str]) -> bool:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    numbered = re.search(r"(?:version|release|\bv)\W*$", text[max(0, match.start() - 12) : match.start()].lower())
    return not (address.is_unspecified or address.is_loopback or numbered)


def _spanish(text: str, match: re.Match[str]) -> bool:
    number = match[0].upper().replace("-", "")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == number[-1]


def _french(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match[0])
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _brazilian(text: str, match: re.Match[str]) -> bool:
    digits = [int(digit) for digit in _digits(match[0])]
    checks = [sum((size + 1 - place) * digit for place, digit in enumerate(digits[:size])) * 10 % 11 % 10 for size in (9, 10)]
    return checks == digits[9:] and len(set(digits)) > 1


_PHONE_WORDS = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|called|calling|dial|fax|desk|landline|hotline|sms|text|texts|whatsapp|signal|ring|reach"
    r"|contact|answer|answering|messages?|voicemail|handy|telefon|móvil|teléfono|portable|téléphone)\b",
    re.IGNORECASE,
)
_OTHER_NUMBERS = re.compile(
    r"\b(?:card|cc|account|order|invoice|ticket|case|reference|ref|serial|tracking|iban|ssn|zip|postal|licen[cs]e|passport|policy|isbn|id|address(?:es)?|street|road|room|suite)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ][01]?\d[-./ ][0-3]?\d(?!\d)|[0-3]?\d[-./ ][01]?\d[-./ ](?:19|20)\d\d(?!\d)|(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d$"
)
_AMERICAN = re.compile(r"(?:(?:\+|00)?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-]?)[2-9]\d\d[ .-]?\d{4}")
# Amounts in thousands, and the form of a Social Security number.
_NO_PHONE = re.compile(r"[ .]000$|^\d{3}-\d\d-\d{4}$")
# Signs of a phone number: a plus, a country's 00, an area code in brackets.
_MARKED = re.compile(r"(?:\+|00)[1-9][\d ().-]{6,}|\(\d{2,5}\)[\d -]{5,}")
# Else a leading 0 and a second group, or groups of the sizes that countries write, but not two years; and no capital after it, as
# after a house number.
_GROUPED = re.compile(
    r"0\d{1,4}[ ./-]\d[\d .-]{3,}|\d\d([ .-])\d\d\1\d\d\1\d\d|\d{2,3}([ .-])\d{3}\2\d{3,4}|\d{2,3}([ .-])\d{3}\3\d\d\3\d\d"
    r"|\d{3}([ .-])\d\d\4\d{3}|\d\d \d{6}|\d{3}[ -]\d{4}|(?!(?:1[5-9]|20)\d\d)\d{4}[ -]\d{4}|\d\d([ .-])\d{4}\5\d{4}"
    r"|\d\d([ .-])\d{3}\6\d{3}\6\d{2,4}"
)
_PHONE_KINDS = re.compile(r"\s?[-(,]?\s?(?:office|home|work|mobile|cell|fax|direct)\b", re.IGNORECASE)
_BEFORE_NAME = re.compile(r",? [A-Z]")
_WORDS_BEFORE = 40


def _phone(text: str, match: re.Match[str]) -> bool:
    """A number written as phone numbers are; one without a plus, brackets or groups only close behind a word about phones."""
    number = re.sub(r" ?(?:x|ext\.?) ?\d+$", "", match[0], flags=re.IGNORECASE)
    digits = _digits(number)
    if not 7 <= len(digits) <= 15 or _DATE.match(number) or len(set(digits)) < 3 or _NO_PHONE.search(number):
        return False
    # the words before it on its line; of the line above only a heading such as "Phone:"
    before = re.split(r"(?<!:)\n|[!?;] ", text[max(0, match.start() - _WORDS_BEFORE) : match.start()])[-1]
    said = [found.end() for found in _PHONE_WORDS.finditer(before)]
    if _PHONE_KINDS.match(text, match.end()):
        said.append(len(before))
    other = [found.end() for found in _OTHER_NUMBERS.finditer(before)]
    if other and (not said or said[-1] < other[-1]):
        return False
    if said or _MARKED.fullmatch(number) or (number != digits and _AMERICAN.fullmatch(number)):
        return True
    return _GROUPED.fullmatch(number) is not None and _BEFORE_NAME.match(text, match.end()) is None


@dataclass(frozen=True)
class Form:
    """`pattern` finds candidates in texts that hold `hint`; `valid` decides on (text, match)."""

    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    valid: Callable[[str, re.Match[str]], bool] = lambda text, match: True


_SEVEN_DIGITS = re.compile(r"\d(?:[ ().:/-]{0,3}\d){6}")
FORMS: dict[str, Form] = {
    "email": Form(
        re.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:\w(?:[\w-]{0,61}\w)?\.)+[a-z]{2,24}(?![\w-])", re.IGNORECASE),
        re.compile("@"),
    ),
    "iban": Form(
        re.compile(r"(?<!\w)[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?(?!\w)", re.IGNORECASE),
        _SEVEN_DIGITS,
        lambda text, match: iban(match[0]),
    ),
    "credit_card": Form(re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){11,18}(?![\w-])"), _SEVEN_DIGITS, _card),
    "us_ssn": Form(re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([- ])(?!00)\d\d\1(?!0000)\d{4}(?![\w-])"), _SEVEN_DIGITS),
    "uk_nino": Form(
        re.compile(r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)"),
        re.compile(r"\d\d ?\d\d ?\d\d ?[A-D]"),
    ),
    "es_nif": Form(re.compile(r"(?<!\w)(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z](?!\w)"), _SEVEN_DIGITS, _spanish),
    "fr_nir": Form(re.compile(r"(?<!\w)[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d\d ?\d{3} ?\d{3} ?\d\d(?!\w)"), _SEVEN_DIGITS, _french),
    "it_fiscal_code": Form(
        re.compile(r"(?<!\w)[A-Z]{6}\d\d[A-EHLMPRST](?:[0-2]\d|3[01]|[4-6]\d|7[01])[A-Z]\d{3}[A-Z](?!\w)"),
        re.compile(r"\d\d[A-T]\d\d[A-Z]\d{3}"),
    ),
    "br_cpf": Form(re.compile(r"(?<!\w)\d{3}\.\d{3}\.\d{3}-\d\d(?!\w)"), _SEVEN_DIGITS, _brazilian),
    "ip_address": Form(
        re.compile(r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?=[0-9a-f]*:)[0-9a-f:]{4,39})(?![\w:]|\.\d)", re.IGNORECASE),
        re.compile(r"\d\.\d{1,3}\.\d|:[0-9a-fA-F]{0,4}:"),
        _machine,
    ),
    "mac_address": Form(
        re.compile(r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])", re.IGNORECASE),
        re.compile(r"[:-][0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-]"),
    ),
    "phone": Form(
        re.compile(
            r"(?<![\w@#$€£.:/-])(?<!\d,)(?:\+|\((?=\d{1,5}\)))?\d[\d().\-/ ]{4,22}\d(?: ?(?:x|ext\.?) ?\d{1,5})?(?![\w%])",
            re.IGNORECASE,
        ),
        _SEVEN_DIGITS,
        _phone,
    ),
}
