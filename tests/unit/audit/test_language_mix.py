"""Languages told by script and usual words."""

from __future__ import annotations

import pytest

from provetune.languages import language_of
from tests.unit.audit.rows import clean, example, found, inputs, only

# First article of the Universal Declaration of Human Rights, as published by the United Nations.
ARTICLE_1 = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience.",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia.",
    "Italian": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza.",
    "Portuguese": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir "
    "uns para com os outros em espírito de fraternidade.",
    "Dutch": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja omatunto, ja "
    "heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem.",
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı "
    "kardeşlik zihniyeti ile hareket etmelidirler.",
    "Cyrillic": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Arabic": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق",
    "Hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם",
    "Devanagari": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักด์",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。",
}


@pytest.mark.parametrize("language", ARTICLE_1)
def test_the_language_of_a_sentence(language: str) -> None:
    assert language_of(ARTICLE_1[language]) == language


@pytest.mark.parametrize("text", ["", "ok", "Berlin 2024", "x = f(y)", "12 34 56 78 90", "la la la la la la", "Müller, Meier, Schulze"])
def test_what_cannot_be_told_stays_open(text: str) -> None:
    assert language_of(text) is None


def test_a_second_language_is_told_of() -> None:
    rows = [example(number, f"can you tell me what is the fee number {number} for my card", "fees") for number in range(60)]
    rows += [example(100 + number, f"Wie kann ich meine Karte {number} sperren und wer hilft mir", "cards") for number in range(3)]
    finding = only(found("language_mix", inputs(rows)))
    assert (finding.severity, finding.count, finding.example_ids) == ("info", 3, ("r100", "r101", "r102"))
    assert "English (60 of 63" in finding.message and "German 3" in finding.message
    assert found("language_mix", inputs(rows[:61])) == [] == found("language_mix", inputs(clean()))
