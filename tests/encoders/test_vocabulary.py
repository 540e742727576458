"""Typed words lead to the concepts that a fixed vocabulary knows."""

from __future__ import annotations

import pytest

from lfss.encoders.vocabulary import COMPOUND, KIND, Concept, Vocabulary

WORDS = Vocabulary(
    (
        Concept("background"),
        Concept("dog", ("puppy", "hound"), ("beagle", "golden retriever")),
        Concept("cat", ("kitten",)),
        Concept("person", ("people", "woman")),
        Concept("cow", ("cattle",)),
        Concept("airplane", ("plane",)),
        Concept("couch", ("sofa",)),
        Concept("tv", ("television", "tv monitor")),
        Concept("bus"),
        Concept("teddy bear", ("toy", "beagle toy")),
        Concept("bear"),
        Concept("mouse"),
    )
)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("dog", "dog"), (" DOG ", "dog"), ("dogs", "dog"), ("a dog", "dog"), ("the dogs", "dog"),
        ("puppies", "dog"), ("kitten", "cat"), ("cattle", "cow"), ("people", "person"), ("women", "person"),
        ("aeroplane", "airplane"), ("Aeroplanes", "airplane"), ("sofas", "couch"), ("television", "tv"),
        ("tvmonitor", "tv"), ("tv-monitor", "tv"), ("buses", "bus"), ("teddy_bears", "teddy bear"),
        ("mice", "mouse"),
    ],
)  # fmt: skip
def test_spelling_case_and_plural_do_not_matter(typed, name):
    match = WORDS.resolve(typed)
    assert match is not None
    assert (match.concept.name, match.trust) == (name, 1.0)
    assert WORDS.concepts[match.index] is match.concept


def test_a_kind_is_known_less_well_than_the_thing_itself():
    match = WORDS.resolve("Golden Retrievers")
    assert match is not None
    assert (match.concept.name, match.trust) == ("dog", KIND)


def test_the_last_words_decide_what_a_description_means():
    match = WORDS.resolve("small brown dog")
    assert match is not None
    assert (match.concept.name, match.trust) == ("dog", COMPOUND)
    bear = WORDS.resolve("old teddy bear")
    assert bear is not None
    assert bear.concept.name == "teddy bear"


@pytest.mark.parametrize("typed", ["", "   ", "qwertz", "dogma", "犬", "!?"])
def test_an_unknown_word_leads_nowhere(typed):
    assert WORDS.resolve(typed) is None


def test_closest_names_are_concepts_that_look_alike():
    assert WORDS.closest("bears") == ("bear", "teddy bear")[: len(WORDS.closest("bears"))]
    assert WORDS.closest("mousse")[0] == "mouse"
    assert WORDS.closest("xyzzy") == ()
    assert WORDS.closest("mustache") == ()  # not "mouse": it only looks a little like it


def test_a_concept_is_known_as_well_as_it_was_measured():
    words = Vocabulary((Concept("background"), Concept("fork", kinds=("pitchfork",), trust=0.5)))
    assert [words.resolve(w).trust for w in ("fork", "pitchfork")] == [0.5, 0.5 * KIND]


def test_a_word_of_near_meaning_is_suggested_but_not_known():
    words = Vocabulary((Concept("background"), Concept("boat")), {"kayak": "boat"})
    assert words.resolve("kayaks") is None
    assert words.closest("kayaks") == ("boat",)


def test_many_words_of_one_concept_hide_no_other():
    rows = Concept("row", tuple(f"row{letter}" for letter in "abcdefghijklm"))
    words = Vocabulary((Concept("background"), rows, Concept("crowd")))
    assert words.closest("crow") == ("crowd", "row")
    assert words.closest("rowd") == ("row", "crowd")


def test_a_concept_without_trust_is_not_suggested():
    words = Vocabulary((Concept("cow", trust=0.0), Concept("crow")))
    assert words.closest("cow") == ("crow",)


def test_words_to_type_are_those_that_lead_to_a_trusted_concept():
    words = Vocabulary(
        (
            Concept("background"),
            Concept("dog", ("hound",), ("beagle", "cow"), 0.5),
            Concept("cow", ("ox",), trust=0.0),
        )
    )
    assert words.words == ("beagle", "dog", "hound")
    assert [concept.name for concept in words.trusted] == ["dog"]


def test_a_name_wins_over_another_concepts_synonym():
    words = Vocabulary((Concept("ship", ("boat",)), Concept("boat")))
    match = words.resolve("boat")
    assert match is not None
    assert match.concept.name == "boat"
