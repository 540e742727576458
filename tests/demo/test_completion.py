from __future__ import annotations

from demo.completion import word_list
from demo.service import Service
from lfss.encoders.vocabulary import Concept, Vocabulary


def test_words_come_with_the_model_and_hold_no_markup(service, monkeypatch):
    vocabulary = Vocabulary(
        (Concept("background"), Concept("dog", ('a <b> "dog"',)), Concept("cow", trust=0.0))
    )
    assert Service("tests.fakes:preset").words_to_offer() == ()  # not loaded yet
    vlm = service.predictor().encoders.vlm
    monkeypatch.setattr(vlm, "vocabulary", vocabulary, raising=False)
    text = word_list(service.words_to_offer())
    assert text.count("<option") == 2
    assert 'value="dog"' in text
    assert "<b>" not in text
    assert service.known_words() == ("dog",)


def test_a_preset_that_knows_language_offers_no_list(service):
    service.predictor()
    assert word_list(service.words_to_offer()) == ""
