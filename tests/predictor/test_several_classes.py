"""Several classes in one run, and pictures that are only known to show a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from rectangles import picture, two

from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.presets import Encoders
from lfss.support import Support
from tests.fakes import ColourFeatures, ColourWords, preset


def test_classes_that_claim_nothing_of_each_other_get_their_own_predictions(predictor, red, blue):
    made = predictor.predict_classes([red, blue], two())
    for one, alone in zip(made, (predictor.predict(red, two()), predictor.predict(blue, two()))):
        assert np.array_equal(one.mask, alone.mask)
        assert np.array_equal(one.score, alone.score)
        assert [s.key for s in one.stages] == [s.key for s in alone.stages]
        assert (one.presence, one.lost) == (alone.presence, {})
        assert one.seconds > 0


def test_two_classes_share_a_pixel_only_where_they_may(predictor, red):
    """A class that means the same, but is less sure to be there, loses all."""
    rival = replace(red, label=parse_label("crimson"), encoded=replace(red.encoded, prepared=None))
    query = two()
    alone = predictor.predict(red, query)
    first, second = predictor.predict_classes([red, rival], query)
    assert np.array_equal(first.mask, alone.mask)  # of equal ones the first wins
    assert not second.mask.any()
    assert second.lost == {"red": 1.0}
    assert first.lost == {}
    pairs = [("Crimson", "RED")]  # names as people write them
    first, second = predictor.predict_classes([red, rival], query, overlaps=pairs)
    assert np.array_equal(first.mask, second.mask)
    assert second.lost == {}
    assert np.array_equal(second.stages[-1].query, second.mask)


def test_presence_weighs_in_the_competition_unless_it_is_assumed():
    class Unsure(ColourWords):
        def presence(self, phrases, dense: torch.Tensor) -> torch.Tensor:
            return torch.full((len(dense),), 0.6 if "red" in phrases[0] else 0.9)

    unsure = replace(preset(), load=lambda *_: Encoders(Unsure(), ColourFeatures()))
    predictor = Predictor.load(unsure, device="cpu")
    unmarked = [Support(picture())]
    red = predictor.prepare(parse_label("red"), unmarked)
    sure = replace(red, label=parse_label("other"), presence_offset=2.0)
    less, more = predictor.predict_classes([red, sure], picture(seed=1))
    assert not less.mask.any()
    assert more.mask.any()
    less, more = predictor.predict_classes([red, sure], picture(seed=1), assume_present=True)
    assert less.mask.any()
    assert not more.mask.any()


class Counted(ColourFeatures):
    """Counts the pictures that it encodes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, pixels):
        self.count += len(pixels)
        return super().__call__(pixels)


def test_a_picture_is_encoded_once_however_many_labels_are_asked_for():
    look = Counted()
    predictor = Predictor.load(replace(preset(), load=lambda *_: Encoders(ColourWords(), look)), device="cpu")
    shared = two()
    classes = predictor.prepare_classes(
        [
            (parse_label("red"), [Support(shared), Support(picture())]),
            (parse_label("blue"), [Support(shared)]),
        ]
    )
    assert look.count == 2
    predictor.predict_classes(classes, two(seed=5))
    assert look.count == 3
    kept = predictor.encode(picture(seed=6))
    for one in classes:
        made = predictor.predict(one, (picture(seed=6), kept))
        assert look.count == 4
    assert np.array_equal(made.score, predictor.predict(classes[1], picture(seed=6)).score)


def test_auxiliary_pictures_travel_with_the_class(predictor, tmp_path):
    more = [picture(seed=7), two()]
    made = predictor.prepare(parse_label("red"), [Support(picture())], more)
    assert made.encoded.auxiliary.logits.shape[:2] == (1, 2)
    assert made.encoded.auxiliary.thumbnails.shape == (1, 2, 3, 100, 100)
    again = Prepared.load(made.save(tmp_path / "red.safetensors"))
    for a, b in zip(again.encoded.auxiliary.features, made.encoded.auxiliary.features):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(
        again.encoded.auxiliary.thumbnails, made.encoded.auxiliary.thumbnails, atol=2e-3, rtol=2e-3
    )
