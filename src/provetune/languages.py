"""Which language a text is in: by script, and in Latin letters by usual words.

It knows 15 languages in Latin letters, and tells others only by their script (Russian and Bulgarian are both Cyrillic). Texts of under
five words, lists of names and code stay undecided. It finds the second language of many texts, and can be wrong about one.
"""

from __future__ import annotations

import re
from collections import Counter

FEWEST_WORDS = 5
_LETTERS = 600

_USUAL = {
    "English": "the a and is of to in at by or as if that it for you was with on are this have be not my what how can do your from i",
    "German": "der die das und ist nicht ich ein eine zu den mit auf für wie kann mein meine bitte sie es wird haben von dem im",
    "French": "le la les de des est et en je tous sont pas une un du que pour dans vous mon ma ce qui comment avec sur ne au aux suis plus",
    "Spanish": "el los las que y es una por con para mi no se del como qué está puedo cómo su al lo más pero me hay",
    "Italian": "il che di è non per una sono con del della come mi gli ho posso alla nel dei anche questo più ma si lo",
    "Portuguese": "o os as que não uma para com meu minha como em por é do da dos no na um você está mais eu posso",
    "Dutch": "het een van en is niet ik dat op te voor met zijn mijn hoe kan aan bij naar er ook wat maar deze wordt",
    "Swedish": "och att det är inte jag en som på för med av min hur kan den till ett har om från men när mig",
    "Danish": "og at det er ikke jeg en som på for med af min hvordan kan den til et har om fra men når mig",
    "Norwegian": "og at det er ikke jeg en som på for med av min hvordan kan den til et har om fra men når meg",
    "Finnish": "ja on ei se että en minun miten voin ole olen mutta tai kun myös mitä kuinka tämä joka jos minä ovat oli",
    "Polish": "i w nie na się że jest z do jak to czy moje moja mój dlaczego jestem ale po od za co są przez",
    "Czech": "a v je na se že to jak mi moje můj proč jsem ale po od co jsou není nebo když si by pro",
    "Turkish": "ve bir bu için ne nasıl değil mi var çok daha ile ben benim kadar olarak ama gibi neden yok sonra her",
    "Indonesian": "yang dan di ini saya tidak untuk dengan itu dari ke bagaimana apa ada akan bisa pada adalah kami anda juga",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in _USUAL.items():
    for _word in _words.split():
        _LANGUAGES_OF.setdefault(_word, []).append(_language)

_SCRIPTS = {
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Thai": "\u0e00-\u0e7f",
    "Korean": "\uac00-\ud7af\u1100-\u11ff",
    "Japanese": "\u3040-\u30ff",
    "Chinese": "\u4e00-\u9fff\u3400-\u4dbf",
}
_OTHER_SCRIPT = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """Name of the language, or of the script where that is all that is known; None where undecided.

    >>> language_of("Wie kann ich meine Karte sperren?"), language_of("Где моя новая карта"), language_of("Berlin 2024")
    ('German', 'Cyrillic', None)
    """
    text = text[:_LETTERS]
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        for name, pattern in _OTHER_SCRIPT.items():
            # Japanese is told from Chinese by its syllables, which stand between the signs both share
            if 2 * len(pattern.findall(text)) > letters * (0.4 if name == "Japanese" else 1) > 2:
                return name
    words = _WORD.findall(text.lower())
    if len(words) < FEWEST_WORDS:
        return None
    hits = Counter(language for word in set(words) for language in _LANGUAGES_OF.get(word, ()))
    (first, most), (_, next_most) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    return first if most >= 2 and 2 * most >= 3 * next_most else None
