"""Labels as people type them."""

from __future__ import annotations

import pytest

from lfss.errors import InputError, LabelError
from lfss.labels import (
    BACKGROUND_WORDS,
    MAX_LENGTH,
    MAX_PHRASES,
    Label,
    competitors,
    find_label,
    label_key,
    parse_label,
)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("dog", ("dog",)),
        ("dog, puppy", ("dog", "puppy")),
        ("  traffic   light ,\tstop\nlight ", ("traffic light", "stop light")),
        (",dog,,puppy,", ("dog", "puppy")),
        ("dog, dog, puppy", ("dog", "puppy")),
        ("Dog, puppy, DOG, Puppy", ("Dog", "puppy")),
        ("Café", ("Café",)),
        ("Cafe\u0301", ("Café",)),
        ("собака, 犬", ("собака", "犬")),
        ("747", ("747",)),
        ("x-ray tube (old)", ("x-ray tube (old)",)),
        ("می\u200cخواهم", ("می\u200cخواهم",)),
    ],
)
def test_a_label_is_a_name_and_synonyms_after_commas(text, phrases):
    label = parse_label(text)
    assert label.phrases == phrases
    assert (label.text, label.synonyms) == (phrases[0], phrases[1:])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dog", "DOG"),
        ("Café", "cafe\u0301"),
        ("traffic light", " Traffic  light "),
        ("Straße", "STRASSE"),
        ("\u1e9b\u0323", "\u1e69"),  # a letter with two marks, whose order and case both change
    ],
)
def test_names_that_many_tools_take_for_one_are_one_label(one, other):
    assert label_key(one) == label_key(other)
    assert find_label(other, ["cat", one]) == one


@pytest.mark.parametrize(
    ("one", "other"), [("dog", "dogs"), ("cafe", "café"), ("trafficlight", "traffic light")]
)
def test_other_names_are_other_labels(one, other):
    assert label_key(one) != label_key(other)
    assert find_label(other, [one]) is None


def test_not_words_are_read_the_same_way():
    assert parse_label("dog", not_words="cat,  wolf ").distractors == ("cat", "wolf")
    assert parse_label("dog").distractors == ()


def test_a_not_word_that_is_the_label_itself_is_left_out():
    assert parse_label("dog, puppy", not_words="Dog, PUPPY, wolf").distractors == ("wolf",)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,", "\n\t"])
def test_an_empty_label_is_an_error(text):
    with pytest.raises(LabelError, match="Type a label"):
        parse_label(text)


@pytest.mark.parametrize("text", ["🐕", "...", "dog, 🐕", "!", "\u200d"])
def test_a_label_without_letters_or_digits_is_an_error(text):
    with pytest.raises(LabelError, match="needs letters or digits"):
        parse_label(text)


@pytest.mark.parametrize("length", [MAX_LENGTH + 1, 10_000])
def test_a_long_label_is_an_error_that_says_how_long(length):
    with pytest.raises(LabelError, match=f"at most {MAX_LENGTH} characters; this one has {length}"):
        parse_label("d" * length)
    with pytest.raises(LabelError, match="'not' words"):
        parse_label("dog", not_words="d" * length)


def test_the_longest_label_is_allowed():
    assert len(parse_label("d" * MAX_LENGTH).text) == MAX_LENGTH


def test_too_many_words_are_an_error():
    words = [f"w{i}" for i in range(MAX_PHRASES + 1)]
    assert len(parse_label(",".join(words[:-1])).phrases) == MAX_PHRASES
    with pytest.raises(LabelError, match=f"at most {MAX_PHRASES} words; this one has {MAX_PHRASES + 1}"):
        parse_label(",".join(words))


@pytest.mark.parametrize("text", ["dog\x00", "do\x1bg", "dog\u202egod", "\ud800dog", "dog\u2066"])
def test_characters_that_cannot_be_shown_are_an_error(text):
    with pytest.raises(LabelError, match="cannot be shown"):
        parse_label(text)


@pytest.mark.parametrize("text", ["🐕", "dog\x00", "do\x1bg\x00,\x07", "\x07", "\ud800!"])
def test_messages_of_errors_can_be_printed(text):
    with pytest.raises(LabelError) as caught:
        parse_label(text)
    assert str(caught.value).isprintable()


def test_a_bad_label_is_a_bad_input():
    assert issubclass(LabelError, InputError)


def test_not_words_compete_first_and_background_words_after_them():
    assert competitors(Label("dog", (), ("cat", "wolf"))) == ("cat", "wolf", *BACKGROUND_WORDS)


@pytest.mark.parametrize(
    ("phrases", "absent", "kept"),
    [
        (("sky",), "sky", "cloud"),
        (("Sky",), "sky", "cloud"),
        (("river bank",), "river", "water"),
        (("street lamp", "lantern"), "street", "road"),
        (("lantern", "street lamp"), "street", "road"),
        (("background",), "background", "ground"),
        (("skyscraper",), None, "sky"),
    ],
)
def test_words_of_the_label_do_not_compete_with_it(phrases, absent, kept):
    words = competitors(Label(phrases[0], phrases[1:]))
    assert absent not in words
    assert kept in words


def test_a_label_keeps_its_order_and_compares_by_value():
    assert parse_label("b, a, c") == Label("b", ("a", "c"))
    assert hash(parse_label("b, a")) == hash(Label("b", ("a",)))
