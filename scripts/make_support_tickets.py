"""Write the bundled example data: invented support tickets of an invented backup service, with planted flaws.

    python scripts/make_support_tickets.py --out src/provetune/examples_data/support_tickets/tickets.csv

The same seed gives the same bytes. Sentences are in `support_tickets_phrases.txt` beside this file; this file draws
customers, fills the sentences, and plants typos, duplicates, conflicting labels, one leak and leftovers of a web form.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

PHRASES = Path(__file__).with_name("support_tickets_phrases.txt")
SEED = 2024
HEADER = ("ticket_id", "customer", "message", "queue")
BRAND = "Larkvault"
CUSTOMERS = 260
MOST_TICKETS = 9
# Tickets written per queue; 17 copies with a flaw are added to these 823.
QUEUE_SIZES = {
    "billing_question": 85,
    "refund_request": 66,
    "login_problem": 82,
    "two_factor": 57,
    "cancel_subscription": 64,
    "upgrade_plan": 68,
    "data_export": 54,
    "restore_failed": 72,
    "slow_performance": 63,
    "bug_report": 83,
    "feature_request": 71,
    "api_integration": 58,
}
TYPO_ROWS, EXACT_COPIES, TRAILING_ROWS, HTML_ROWS = 100, 9, 2, 1
NEAR_EDITS = ("greeting", "greeting", "thanks", "thanks", "dropped word", "dropped word")
CONFLICTS = (("refund_request", "billing_question"), ("restore_failed", "slow_performance"))
LEAKING_QUEUE = "refund_request"
SHORTEST, LONGEST = 8, 45
OPENING_SHARE, CLOSING_SHARE, SHARED_SHARE, DIGRESSION_SHARE = 0.6, 0.55, 0.5, 0.3

SLOTS = {
    "otherplan": "Solo|Family|Team|Business|Studio",
    "amount": "$9.99|$49|$120|$238.80|€15|€59.90|€96|€414|£7.50|£84|£210|79 francs|1,140 kroner",
    "number": "two|three|four|5|six|seven|8|nine",
    "bignumber": "12|15|20|24|30|45|60|100|180|250",
    "size": "80 GB|200 GB|350 GB|500 GB|1 TB|1.4 TB|2 TB|3.6 TB|5 TB",
    "percent": "0%|4%|12%|37%|62%|88%|97%|99%",
    "date": "Monday|Friday|3 March|the 14th|28 May|9 June|1 July|17 August|the first|30 September|11 October|22 November",
    "ago": "yesterday|two days ago|last week|a week ago|three weeks ago|last month|this morning|in spring",
    "month": "January|February|March|April|May|June|August|September|November",
    "duration": "20 minutes|an hour|three hours|five hours|two days|four days|a week|ten minutes",
    "error": "error 1042|error 57|code E-309|a timeout|status 500|unknown error|code 0x80|message 'try again'",
    "file": "budget_2023.xlsx|thesis.docx|the payroll file|customers.db|IMG_2231.jpg|the contract PDF|backup.pst|plan_v7.dwg",
    "folder": "the Photos folder|our accounting folder|Documents|the projects drive|my music|the client folder|the scans"
    "|our mail archive|the video share|the Desktop folder",
    "ticket": "#48211|#39007|#51760|#44982|#50013|#47355",
    "version": "7.2|7.2.1|6.9|8.0|7.4.3|8.1 beta",
    "person": "my colleague|our accountant|my wife|my husband|our admin|Priya|Tomasz|my boss|our intern|Ines",
    "place": "Norway|Canada|Singapore|Lisbon|the Berlin office|Ohio|our branch in Leeds|Kenya",
    "otherapp": "Outlook|Thunderbird|another program|Excel",
}
# Drawn once per customer: a customer's tickets sound alike, so rows of one customer belong together.
OWN_SLOTS = {
    "device": "my iPhone|my Pixel|the office iMac|my MacBook|my Windows laptop|the Windows server|our Linux server|my tablet"
    "|the old desktop|my work PC",
    "app": "the desktop app|the mobile app|the web console|the program|your app|the client|the website|Larkvault",
    "browser": "Firefox|Chrome|Safari|Edge",
    "plan": "Solo|Family|Team|Business|Studio",
    "name": "Maren|Joel|Aisha|Pavel|Lucía|Grace|Hiro|Nadia|Owen|Fatima|Sven|Chloé|Raj|Bea|Mikkel|Zoë",
    "tone": "plain|plain|plain|formal|formal|casual|casual|angry",
}


@dataclass(frozen=True)
class Ticket:
    """One row; `flaw` names what was planted in it, or is empty."""

    ticket_id: str
    customer: str
    message: str
    queue: str
    flaw: str = ""


def read_phrases(path: Path) -> dict[str, list[str]]:
    """Sections of the phrase file: name in brackets -> its sentences."""
    phrases: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = phrases.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return phrases


def fill(sentence: str, own: dict[str, str], draw: random.Random) -> str:
    """Choose one of every {a|b} and fill every <slot>; `own` holds what the customer has fixed.

    >>> fill("{Hi|Hi} <name>, <App> hangs", {"name": "Bea", "app": "the app"}, random.Random(1))
    'Hi Bea, The app hangs'
    """

    def slot(match: re.Match[str]) -> str:
        name = match[1].lower()
        choices = [own[name]] if name in own else SLOTS[name].split("|")
        # "From Team to Team" would make no sense.
        text = draw.choice([choice for choice in choices if name != "otherplan" or choice != own["plan"]])
        return capitalised(text) if match[1][0].isupper() else text

    chosen = re.sub(r"\{([^{}]*)\}", lambda match: draw.choice(match[1].split("|")), sentence)
    text = " ".join(re.sub(r"<(\w+)>", slot, chosen).split())
    return re.sub(r" ([,.?!:])", r"\1", text)


def capitalised(text: str) -> str:
    """The text with a capital first letter, the rest untouched."""
    return text[0].upper() + text[1:]


def draw_customers(draw: random.Random) -> list[dict[str, str]]:
    """The invented customers: number, way of writing, computer, plan."""
    numbers = sorted(draw.sample(range(1000, 2000), CUSTOMERS))
    fixed = [{name: draw.choice(words.split("|")) for name, words in OWN_SLOTS.items()} for _ in numbers]
    return [{**own, "customer": f"C{number}", "brand": BRAND} for own, number in zip(fixed, numbers, strict=True)]


def deal_customers(customers: list[dict[str, str]], tickets: int, draw: random.Random) -> list[dict[str, str]]:
    """One customer per ticket: each at least once, a few often, in random order."""
    counts = [1] * len(customers)
    eagerness = [draw.choice((1, 1, 2, 3, 6)) for _ in customers]
    while sum(counts) < tickets:
        [chosen] = draw.choices(range(len(customers)), weights=eagerness)
        # One ticket of room is left for a copy.
        counts[chosen] += counts[chosen] < MOST_TICKETS - 1
    dealt = [own for own, count in zip(customers, counts, strict=True) for _ in range(count)]
    draw.shuffle(dealt)
    return dealt


def write_message(core: str, own: dict[str, str], phrases: dict[str, list[str]], draw: random.Random) -> str:
    """One ticket around a core sentence: greeting, what it is about, side remarks, sign-off; 8 to 45 words."""
    while True:
        around = [draw.choice(phrases["shared"])] * (draw.random() < SHARED_SHARE)
        around += [draw.choice(phrases["digression"])] * (draw.random() < DIGRESSION_SHARE)
        sentences = [core, *around]
        draw.shuffle(sentences)
        opening = [draw.choice(phrases[f"opening_{own['tone']}"])] * (draw.random() < OPENING_SHARE)
        closing = [draw.choice(phrases[f"closing_{own['tone']}"])] * (draw.random() < CLOSING_SHARE)
        filled = [capitalised(fill(sentence, own, draw)) for sentence in sentences]
        # Greetings and sign-offs keep their own capitals ("hey,", "thx").
        ends = [fill(sentence, own, draw) for sentence in [*opening, *closing]]
        message = " ".join([*ends[: len(opening)], *filled, *ends[len(opening) :]])
        if SHORTEST <= len(message.split()) <= LONGEST:
            return message


def draft_tickets(phrases: dict[str, list[str]], draw: random.Random) -> list[Ticket]:
    """The clean tickets; every core sentence of a queue is used about equally often."""
    dealt = iter(deal_customers(draw_customers(draw), sum(QUEUE_SIZES.values()), draw))
    tickets = []
    for queue, size in QUEUE_SIZES.items():
        for number in range(size):
            own = next(dealt)
            core = phrases[queue][number % len(phrases[queue])]
            tickets.append(Ticket("", own["customer"], write_message(core, own, phrases, draw), queue))
    return tickets


def swap_letters(message: str, draw: random.Random) -> str:
    """Two neighbouring letters inside one word change places."""
    spots = [at for at in range(1, len(message) - 2) if message[at - 1 : at + 3].isalpha() and message[at] != message[at + 1]]
    at = draw.choice(spots)
    return message[:at] + message[at + 1] + message[at] + message[at + 2 :]


def drop_letter(message: str, draw: random.Random) -> str:
    """One letter inside a word is missing."""
    at = draw.choice([at for at in range(1, len(message) - 1) if message[at - 1 : at + 2].isalpha()])
    return message[:at] + message[at + 1 :]


def lower_case(message: str, draw: random.Random) -> str:
    """No capitals at all."""
    return message.lower()


def drop_punctuation(message: str, draw: random.Random) -> str:
    """No commas and no sentence ends, apostrophes forgotten."""
    return re.sub(r"[.,?!](?= |$)|'", "", message)


TYPOS: tuple[Callable[[str, random.Random], str], ...] = (swap_letters, drop_letter, lower_case, drop_punctuation)


def with_typos(message: str, draw: random.Random) -> str:
    """One to three slips of the keyboard; never the unchanged message."""
    mistyped = message
    while mistyped == message:
        for slip in draw.choices(TYPOS, k=draw.choice((1, 2, 2, 3))):
            mistyped = slip(mistyped, draw)
    return mistyped


def nearly(message: str, edit: str, draw: random.Random) -> str:
    """The message sent again with a greeting or thanks added, or one word left out."""
    if edit == "greeting":
        return "Hello again, " + message
    if edit == "thanks":
        return message + " Many thanks!"
    words = message.split()
    dropped = draw.randrange(len(words) // 3, len(words) - 3)
    return " ".join(words[:dropped] + words[dropped + 1 :])


def is_long(ticket: Ticket) -> bool:
    """At least 22 words: one word more or less leaves two such messages nearly equal."""
    return len(ticket.message.split()) >= 22


def has_two_sentences(ticket: Ticket) -> bool:
    """There is a place for a line break."""
    return ". " in ticket.message


def plant_flaws(tickets: list[Ticket], draw: random.Random) -> list[Ticket]:
    """All tickets with the flaws of the README; no row carries two of them."""
    free = list(range(len(tickets)))
    draw.shuffle(free)
    planted = list(tickets)

    def take(wanted: Callable[[Ticket], bool] | None = None, queue: str = "") -> int:
        fitting = (place for place in free if tickets[place].queue == (queue or tickets[place].queue))
        place = next(place for place in fitting if wanted is None or wanted(tickets[place]))
        free.remove(place)
        return place

    def change(place: int, message: str, flaw: str) -> None:
        planted[place] = replace(tickets[place], message=message, flaw=flaw)

    place = take(queue=LEAKING_QUEUE)
    change(place, f"{tickets[place].message} [queue: {LEAKING_QUEUE}]", "leak")
    for place in [take() for _ in range(TYPO_ROWS)]:
        change(place, with_typos(tickets[place].message, draw), "typos")
    for place in [take() for _ in range(TRAILING_ROWS)]:
        change(place, tickets[place].message + "   ", "trailing spaces")
    for place in [take(has_two_sentences) for _ in range(HTML_ROWS)]:
        change(place, tickets[place].message.replace(". ", ".<br>", 1), "html fragment")
    for place in [take(is_long) for _ in range(EXACT_COPIES)]:
        planted.append(replace(tickets[place], flaw="exact duplicate"))
    for edit in NEAR_EDITS:
        source = tickets[take(is_long)]
        planted.append(replace(source, message=nearly(source.message, edit, draw), flaw="near duplicate"))
    for queue, other in CONFLICTS:
        planted.append(replace(tickets[take(is_long, queue)], queue=other, flaw="conflicting label"))
    return planted


def make_tickets(seed: int = SEED) -> list[Ticket]:
    """All 840 tickets in file order, numbered after shuffling; same seed, same tickets."""
    draw = random.Random(seed)
    tickets = plant_flaws(draft_tickets(read_phrases(PHRASES), draw), draw)
    draw.shuffle(tickets)
    return [replace(ticket, ticket_id=f"T{10_001 + number}") for number, ticket in enumerate(tickets)]


def to_csv(tickets: Iterable[Ticket]) -> str:
    """The CSV text, header first, lines ended by a line feed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((ticket.ticket_id, ticket.customer, ticket.message, ticket.queue) for ticket in tickets)
    return text.getvalue()


def main() -> None:
    """Write the file and list what was planted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    tickets = make_tickets()
    out.write_text(to_csv(tickets), encoding="utf-8", newline="\n")
    for flaw in sorted({ticket.flaw for ticket in tickets if ticket.flaw}):
        print(f"{flaw}: {' '.join(ticket.ticket_id for ticket in tickets if ticket.flaw == flaw)}")


if __name__ == "__main__":
    main()
