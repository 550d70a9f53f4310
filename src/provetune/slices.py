"""Rows that name a group of people: by gender, age, religion, nationality and some more.

The word lists are this project's own. They are English, know no names, no nicknames and no disguised mentions, and a word
may mean something else ("his" of a dog), so a count is a place to look and no census.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

LIMITS = (
    "English word lists only (gender, age, religion, nationality, origin, orientation, disability); "
    "personal names, other languages and indirect mentions are not seen."
)
"""What the word lists cannot see, as a report says it."""

Group = tuple[str, str]
"""Category and group, as in `("gender", "women")`."""

LEXICON: dict[str, dict[str, str]] = {
    "gender": {
        "women": "woman women girl girls she her hers herself female females lady ladies mother mothers mum mom daughter daughters sister "
        "sisters wife wives girlfriend girlfriends aunt aunts grandmother grandmothers niece nieces queen queens mrs ms madam actress "
        "actresses waitress waitresses businesswoman businesswomen saleswoman saleswomen widow",
        "men": "man men boy boys he him his himself male males gentleman gentlemen father fathers dad son sons brother brothers husband "
        "husbands boyfriend boyfriends uncle uncles grandfather grandfathers nephew nephews king kings mr sir actor actors waiter waiters "
        "businessman businessmen salesman salesmen widower",
        "transgender or non-binary": "transgender transgendered transsexual transsexuals nonbinary non_binary genderqueer genderfluid "
        "trans_woman trans_women trans_man trans_men trans_people trans_person",
    },
    "age": {
        "children": "child children kid kids toddler toddlers infant infants schoolchild schoolchildren little_boy little_girl",
        "young people": "teenager teenagers teenage adolescent adolescents youth youths young_people young_person young_man young_men "
        "young_woman young_women young_adult young_adults",
        "old people": "elderly pensioner pensioners retiree retirees oap senior_citizen senior_citizens old_people old_person old_man "
        "old_men old_woman old_women old_lady old_age grandparent grandparents octogenarian septuagenarian",
    },
    "religion": {
        "Muslims": "muslim muslims islam islamic moslem moslems imam imams mosque mosques quran koran hijab",
        "Christians": "christians christianity catholic catholics catholicism protestant protestants protestantism evangelical "
        "evangelicals baptist baptists mormon mormons christian_faith christian_church",
        "Jews": "jew jews jewish judaism synagogue synagogues rabbi rabbis torah",
        "Hindus": "hindu hindus hinduism",
        "Buddhists": "buddhist buddhists buddhism",
        "Sikhs": "sikh sikhs sikhism gurdwara",
        "atheists": "atheist atheists atheism agnostic agnostics",
    },
    "origin": {
        "migrants": "immigrant immigrants migrant migrants refugee refugees asylum_seeker asylum_seekers foreigner foreigners",
        "black people": "black_people black_person black_man black_men black_woman black_women african_american african_americans",
        "white people": "white_people white_person white_man white_men white_woman white_women caucasian caucasians",
        "Asians": "asian asians asian_people",
        "Latin Americans": "latino latinos latina latinas hispanic hispanics",
    },
    "orientation": {
        "gay, lesbian or bisexual": "gay gays lesbian lesbians bisexual bisexuals homosexual homosexuals homosexuality lgbt lgbtq queer",
        "heterosexual": "heterosexual heterosexuals heterosexuality straight_people straight_person straight_man straight_woman",
    },
    "disability": {
        "disabled people": "disabled disability disabilities wheelchair handicapped deaf autistic autism blind_people blind_person "
        "blind_man blind_woman visually_impaired paralysed paralyzed",
    },
}
"""Category -> group -> words; `_` joins the words of a term. Lower and upper case are the same."""

_NATIONS = (
    "Afghan Albanian Algerian American Argentinian Argentine Armenian Australian Austrian Bangladeshi Belgian Bolivian Bosnian Brazilian "
    "British Bulgarian Cambodian Cameroonian Canadian Chilean Chinese Colombian Congolese Croatian Cuban Czech Danish Dutch Ecuadorian "
    "Egyptian English Eritrean Estonian Ethiopian Filipino Finnish French Georgian German Ghanaian Greek Guatemalan Haitian Hungarian "
    "Icelandic Indian Indonesian Iranian Iraqi Irish Israeli Italian Jamaican Japanese Jordanian Kazakh Kenyan Korean Kuwaiti Latvian "
    "Lebanese Libyan Lithuanian Malaysian Mexican Moroccan Nepalese Nepali Nigerian Norwegian Pakistani Palestinian Peruvian Polish "
    "Portuguese Romanian Russian Rwandan Saudi Scottish Senegalese Serbian Singaporean Slovak Slovenian Somali Spanish Sudanese Swedish "
    "Swiss Syrian Taiwanese Tanzanian Thai Tunisian Turkish Ugandan Ukrainian Uruguayan Uzbek Venezuelan Vietnamese Welsh Yemeni "
    "Zambian Zimbabwean"
)
"""Written with a capital, since `polish` is a verb; `-an`, `-i` and the like also take a plural `s`."""

# words around a hyphen count as two: non-binary is found as non_binary
_WORD = re.compile(r"\w+")


@cache
def _terms() -> tuple[dict[str, Group], dict[str, Group]]:
    """One word -> group, and two words joined by `_` -> group; nationalities keep their capital."""
    single: dict[str, Group] = {}
    for category, groups in LEXICON.items():
        for group, terms in groups.items():
            single.update(dict.fromkeys(terms.split(), (category, group)))
    for name in _NATIONS.split():
        single[name] = single[f"{name}s"] = ("nationality", name)
    return {t: g for t, g in single.items() if "_" not in t}, {t: g for t, g in single.items() if "_" in t}


def named_groups(text: str) -> frozenset[Group]:
    """The groups that the words of `text` name.

    >>> sorted(named_groups("A German widow and her polish"))
    [('gender', 'women'), ('nationality', 'German')]
    """
    single, double = _terms()
    words = _WORD.findall(text)
    lowered = [word.lower() for word in words]
    found = {single[word] for word in single.keys() & {*words, *lowered}}
    found.update(double[pair] for pair in double.keys() & {f"{first}_{second}" for first, second in pairwise(lowered)})
    return frozenset(found)


def rows_by_group(texts: Iterable[str]) -> dict[Group, list[int]]:
    """Group -> the places of the texts that name it; groups that nobody names are left out.

    >>> rows_by_group(["She left.", "Hello", "He asked her."])
    {('gender', 'women'): [0, 2], ('gender', 'men'): [2]}
    """
    found: dict[Group, list[int]] = {}
    for place, text in enumerate(texts):
        for group in sorted(named_groups(text), reverse=True):
            found.setdefault(group, []).append(place)
    return found
