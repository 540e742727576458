"""What comes out of a prediction, on pictures of coloured rectangles, without weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from rectangles import BOX, iou, picture, tensors_of, truth

from lfss.devices import pick_device
from lfss.edges import to_pixels
from lfss.encoding import presence_offset
from lfss.errors import InputError, NoForeground, UnknownName, WeightsMismatch
from lfss.images import resize_to
from lfss.labels import parse_label
from lfss.methods import Episode, EpisodeClass, Pictures, Step
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.presets import Encoders
from lfss.settings import Options, Settings
from lfss.support import Support
from tests.fakes import STRIDE, ColourFeatures, ColourWords, preset


@pytest.mark.parametrize("box", [BOX, (20, 30, 120, 150), (0, 0, 100, 160)])
def test_a_typed_colour_finds_its_rectangle(predictor, red, box):
    made = predictor.predict(red, picture(box=box, seed=1))
    assert iou(made.mask, truth(box)) > 0.85
    assert made.presence > 0.5


def test_mask_and_score_have_the_pictures_size_and_agree(predictor, red):
    query = picture(size=(150, 97), box=(30, 20, 90, 70))
    made = predictor.predict(red, query, threshold=0.3)
    assert made.mask.shape == made.score.shape == query.size
    assert (made.mask.dtype, made.score.dtype) == (np.bool_, np.float32)
    assert 0 <= made.score.min() <= made.score.max() <= 1
    assert np.array_equal(made.mask, made.score >= 0.3)
    assert (made.label, made.preset, made.threshold) == (red.label, "fake", 0.3)
    assert made.seconds > 0


def test_a_picture_without_the_object_gets_an_empty_mask(predictor, red):
    made = predictor.predict(red, picture("blue"))
    assert not made.mask.any()
    assert made.presence < 0.5
    assert predictor.predict(red, picture("blue"), assume_present=True).stage("initial_mask").query.any()


class DoubtingWords(ColourWords):
    """Judges presence itself, and doubts every picture."""

    def presence(self, _phrases, dense: torch.Tensor) -> torch.Tensor:
        return torch.full((len(dense),), 0.02)


def test_a_judge_that_doubts_marked_supports_is_brought_to_even_odds(tmp_path):
    doubting = replace(preset(), load=lambda *_: Encoders(DoubtingWords(), ColourFeatures()))
    predictor = Predictor.load(doubting, device="cpu")
    unmarked = predictor.prepare(parse_label("red"), [Support(picture())])
    assert predictor.predict(unmarked, picture()).presence == pytest.approx(0.02, abs=1e-4)
    prepared = predictor.prepare(parse_label("red"), [Support.from_box(picture(), BOX), Support(picture())])
    assert predictor.predict(prepared, picture()).presence == pytest.approx(0.5, abs=1e-4)
    again = Prepared.load(prepared.save(tmp_path / "red.safetensors"))
    assert again.presence_offset == pytest.approx(prepared.presence_offset)
    assert again.presence_offset > 0


def test_a_judge_is_brought_to_even_odds_on_the_mean_of_the_marked_supports():
    doubting = SimpleNamespace(presence=lambda _phrases, dense: dense)
    marked = [torch.tensor([0.1]), torch.tensor([0.4])]
    odds = (1 / 9 * 2 / 3) ** 0.5  # the mean in logits
    assert presence_offset(doubting, ["red"], marked) == pytest.approx(-math.log(odds), abs=1e-4)
    assert presence_offset(doubting, ["red"], [torch.tensor([0.9])]) == 0, "nobody is made less sure"


def test_iterate_yields_the_stages_in_the_order_of_the_paper(predictor, red):
    keys = [stage.key for stage in predictor.iterate(red, picture())]
    assert keys == [*(stage.key for stage in Lfss.stages), "presence", "score", "prediction"]


def test_predict_is_iterate_drained(predictor, red):
    made = predictor.predict(red, picture())
    stages = [s for s in predictor.iterate(red, picture()) if s.key != "presence"]
    assert [s.key for s in made.stages] == [s.key for s in stages]
    for a, b in zip(made.stages, stages):
        assert np.array_equal(a.query, b.query) if a.query is not None else b.query is None
        for c, d in zip(a.supports, b.supports):
            assert np.array_equal(c, d)
    assert np.array_equal(made.stage("prediction").query, made.mask)
    assert np.array_equal(made.stage("score").query, made.score)


def test_the_options_are_the_fields_of_settings_and_others_are_refused(predictor, red):
    assert set(Options.__annotations__) == {f.name for f in fields(Settings)}
    with pytest.raises(TypeError, match="treshold"):
        predictor.predict(red, picture(), treshold=0.3)


def test_predict_is_an_episode_built_by_hand(predictor):
    """Every input of the method, made here without the predictor."""
    support, query, label = picture(), picture(seed=1), parse_label("red, yellow", not_words="blue")
    words, look = ColourWords(), ColourFeatures()
    phrases = ["red", "yellow", "blue", *words.competitors(["red", "yellow"])]
    phrases = list(dict.fromkeys(phrases))
    text = words.encode_text(phrases)
    s, q = (torch.from_numpy(resize_to(image, 192))[None] for image in (support, query))

    def logits(x: torch.Tensor) -> torch.Tensor:
        return words.logit_scale * torch.einsum("bdhw,vd->bvhw", words.encode_dense(x), text)

    cells = 192 // STRIDE
    known = cv2.resize(truth().astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
    one = EpisodeClass(
        supports=Pictures(tuple(level[:, None] for level in look(s)), logits(s)[:, None]),
        known=torch.from_numpy(known)[None, None],
        unknown=torch.zeros(1, 1, cells, cells),
        phrase_roles=torch.tensor([[1, 1] + [-1] * (len(phrases) - 2)]),
        text_trust=torch.ones(1),
        known_present=torch.tensor([False]),
        query_logits=logits(q),
    )
    by_hand = Lfss(look.channels, LfssConfig()).eval()(Episode(look(q), (one,)))[0, 0].numpy()
    expected = to_pixels(by_hand, query.pixels)

    prepared = predictor.prepare(label, [Support.from_mask(support, truth())])
    made = predictor.predict(prepared, query)
    np.testing.assert_allclose(made.score, expected, atol=1e-5)
    assert np.array_equal(made.mask, made.score >= 0.5)


def test_supports_are_encoded_once_however_many_queries_follow():
    calls = []

    class Counted(ColourFeatures):
        def __call__(self, pixels):
            calls.append(len(pixels))
            return super().__call__(pixels)

    counted = replace(preset(), load=lambda *_: Encoders(ColourWords(), Counted()))
    predictor = Predictor.load(counted, device="cpu")
    prepared = predictor.prepare(parse_label("red"), [Support(picture(seed=i)) for i in range(3)])
    assert sum(calls) == 3
    for seed in range(4):
        predictor.predict(prepared, picture(seed=seed))
    assert sum(calls) == 3 + 4


def test_one_pass_through_a_shared_trunk_is_used_where_there_is_one(predictor, red):
    class Silent(ColourFeatures):
        def __call__(self, pixels):
            raise AssertionError("asked although the trunk answers for both")

    words, look = ColourWords(), ColourFeatures()
    trunk = Encoders(words, Silent(), lambda pixels: (words.encode_dense(pixels), look(pixels)))
    shared = Predictor.load(replace(preset(), load=lambda *_: trunk), device="cpu")
    query = picture(seed=1)
    assert np.array_equal(shared.predict(red, query).mask, predictor.predict(red, query).mask)


def test_inputs_are_unchanged(predictor, red):
    query = picture(seed=1)
    before = [t.clone() for t in tensors_of(red)]
    pixels = query.pixels.copy()
    predictor.predict(red, query)
    for a, b in zip(tensors_of(red), before, strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(query.pixels, pixels)


def test_stopping_after_the_first_stages_leaves_no_mode_behind(predictor, red):
    stages = predictor.iterate(red, picture())
    next(stages)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    stages.close()


def test_a_class_of_another_preset_is_an_error(predictor, red):
    with pytest.raises(WeightsMismatch, match=r"'mini'.*'fake'"):
        predictor.predict(replace(red, preset="mini"), picture())


@pytest.fixture
def blind(predictor) -> Predictor:
    """A predictor whose method sees no object in any support."""

    class Blind(Lfss):
        def steps(self, episode: Episode) -> Iterator[Step]:
            for step in super().steps(episode):
                if step.key == "refined_mask":
                    step.tensors["support"] = tuple(map(torch.zeros_like, step.supports("support")))
                yield step

    return Predictor(predictor.preset, predictor.encoders, Blind((8,)).eval(), "cpu")


def test_supports_that_show_nothing_are_an_error(blind, red):
    with pytest.raises(NoForeground, match="No support shows the object"):
        blind.predict(red, picture())


def test_a_class_of_another_method_is_an_error(predictor, red):
    with pytest.raises(WeightsMismatch, match=r"method 'other'.*method in use is 'lfss'"):
        predictor.predict(replace(red, method="other"), picture())


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(UnknownName, match=r"method 'nonsense'.*lfss"):
        Predictor.load("tests.fakes:preset", method="nonsense")


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99"])
def test_a_bad_device_is_an_error(device):
    with pytest.raises(InputError, match="cannot be used here"):
        Predictor.load("tests.fakes:preset", device=device)


def test_auto_is_a_device_that_is_here():
    assert pick_device("auto") in ("cpu", "cuda", "mps")
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["meta", "tpu", "", "cuda:999", "cpu; ls"])
def test_a_device_that_cannot_compute_is_a_sentence(device):
    with pytest.raises(InputError, match=r"cannot be used here\. Use 'auto' or 'cpu'"):
        pick_device(device)
