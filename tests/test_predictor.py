"""Supports once, queries many: on pictures of coloured rectangles, without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lfss.devices import pick_device
from lfss.edges import to_pixels
from lfss.errors import InputError, NoForeground, SupportError, UnknownName, WeightsMismatch
from lfss.images import Image, read_image, resize_to
from lfss.labels import competitors, parse_label
from lfss.methods import Episode, EpisodeClass, Pictures, Step
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.presets import Encoders
from lfss.settings import Options, Settings
from lfss.support import Support
from tests.fakes import STRIDE, ColourFeatures, ColourWords, preset, scene
from tests.methods.made import all_tensors

BOX = (60, 80, 180, 220)  # top, left, bottom, right: where scenes have their rectangle
SIZE = (240, 320)


def picture(colour: str = "red", **options) -> Image:
    return read_image(scene(colour, **options), name=f"{colour}.png")


def truth(box: tuple[int, int, int, int] = BOX, size: tuple[int, int] = SIZE) -> np.ndarray:
    area = np.zeros(size, bool)
    area[box[0] : box[2], box[1] : box[3]] = True
    return area


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def tensors_of(prepared: Prepared) -> list[torch.Tensor]:
    """Every tensor of a prepared class."""
    return all_tensors((prepared.text, prepared.encoded))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", device="cpu")


@pytest.fixture(scope="module")
def red(predictor) -> Prepared:
    return predictor.prepare(parse_label("red"), [Support(picture())])


# -- what comes out -------------------------------------------------------------------------------------


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


# -- several classes in one run ----------------------------------------------------------------------------


def two(seed: int = 1) -> Image:
    """A picture with a red rectangle and a blue one."""
    pixels, box = scene("red", box=BOX, seed=seed), (20, 240, 100, 310)
    rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
    pixels[rows, columns] = scene("blue", box=box, seed=seed)[rows, columns]
    return read_image(pixels)


@pytest.fixture(scope="module")
def blue(predictor) -> Prepared:
    return predictor.prepare(parse_label("blue"), [Support(picture("blue"))])


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


# -- supports -------------------------------------------------------------------------------------------


def test_copies_of_a_support_change_nothing(predictor, red):
    copies = predictor.prepare(parse_label("red"), [Support(picture())] * 3)
    query = picture(seed=1)
    np.testing.assert_allclose(
        predictor.predict(copies, query).score, predictor.predict(red, query).score, atol=1e-4
    )


def test_the_order_of_supports_changes_nothing(predictor):
    supports = [
        Support(picture(seed=1)),
        Support.from_mask(picture(seed=2), truth()),
        Support.from_box(picture(seed=3), (80, 60, 220, 180)),
    ]
    query, label = picture(seed=4), parse_label("red")
    straight = predictor.predict(predictor.prepare(label, supports), query)
    turned = predictor.predict(predictor.prepare(label, supports[::-1]), query)
    np.testing.assert_allclose(turned.score, straight.score, atol=1e-4)


@pytest.mark.parametrize("kind", ["mask", "box", "scribbles", "a scribble alone", "a point alone"])
def test_an_unknown_word_with_marks_finds_what_is_marked(predictor, kind):
    image = picture("blue")
    stroke, ground, point = (np.zeros(SIZE, bool) for _ in range(3))
    stroke[115:125, 100:200], ground[20:30, 20:300] = True, True
    point[116:124, 146:154] = True
    support = {
        "mask": lambda: Support.from_mask(image, truth()),
        "box": lambda: Support.from_box(image, (80, 60, 220, 180)),
        "scribbles": lambda: Support.from_scribbles(image, stroke, ground),
        "a scribble alone": lambda: Support.from_scribbles(image, stroke),
        "a point alone": lambda: Support.from_scribbles(image, point),
    }[kind]()
    prepared = predictor.prepare(parse_label("gizmo"), [support])
    assert prepared.text_trust == 0
    made = predictor.predict(prepared, picture("blue", box=(20, 30, 120, 150)), assume_present=True)
    assert iou(made.mask, truth((20, 30, 120, 150))) > 0.8


def test_without_trust_in_the_text_the_mask_decides_against_the_typed_word(predictor):
    support = Support.from_mask(picture("blue"), truth())
    prepared = predictor.prepare(parse_label("red"), [support]).without_text()
    two = scene("blue", box=(20, 30, 120, 150))
    two[150:220, 200:300] = scene("red", box=(150, 200, 220, 300))[150:220, 200:300]
    made = predictor.predict(prepared, read_image(two), assume_present=True)
    assert iou(made.mask, truth((20, 30, 120, 150))) > 0.8


def test_a_known_synonym_makes_an_unknown_word_usable(predictor):
    prepared = predictor.prepare(parse_label("crimson thing, red"), [Support(picture())])
    assert prepared.phrases.own == ("red",)
    assert iou(predictor.predict(prepared, picture(seed=1)).mask, truth()) > 0.85


def test_not_words_compete_and_never_stand_for_the_label(predictor):
    prepared = predictor.prepare(parse_label("red", not_words="blue, gizmo"), [Support(picture())])
    words = prepared.phrases.words
    assert words[:2] == ("red", "blue")
    assert "gizmo" not in words
    assert len(set(words)) == len(words)
    assert prepared.text.shape[0] == len(words) == len(prepared.phrases.roles)


def test_a_tower_without_own_competitors_gets_the_background_words():
    words = ColourWords()
    plain = SimpleNamespace(
        name="plain",
        dim=words.dim,
        logit_scale=words.logit_scale,
        encode_text=words.encode_text,
        encode_dense=words.encode_dense,
        text_trust=lambda phrase: 1.0,
    )
    predictor = Predictor.load(replace(preset(), load=lambda *_: Encoders(plain, ColourFeatures())))
    label = parse_label("red", not_words="wolf")
    prepared = predictor.prepare(label, [Support(picture())])
    assert prepared.phrases.words == ("red", *competitors(label))


def test_a_mask_support_knows_every_pixel():
    support = Support.from_mask(picture(), truth())
    assert support.known.dtype == np.int8
    assert np.array_equal(support.known == 1, truth())
    assert np.array_equal(support.known == 0, ~truth())


def test_a_box_knows_its_outside_only():
    support = Support.from_box(picture(), (80, 60, 220, 180))
    assert np.array_equal(support.known == -1, truth())
    assert np.array_equal(support.known == 0, ~truth())


@pytest.mark.parametrize("box", [(220, 180, 80, 60), (79.6, 60.4, 220.4, 179.6)])
def test_corners_of_a_box_may_be_swapped_and_need_not_be_whole_pixels(box):
    assert np.array_equal(Support.from_box(picture(), box).known == -1, truth())


@pytest.mark.parametrize("box", [(0, 0, 320, 240), (-50, -50, 900, 900)])
def test_a_box_around_everything_is_a_label_only_support(box):
    assert Support.from_box(picture(), box).known is None


def test_scribbles_leave_the_rest_unknown_and_background_wins_where_they_cross():
    stroke, ground = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    stroke[100, 90:200], ground[:, 95] = True, True
    known = Support.from_scribbles(picture(), stroke, ground).known
    assert (known[100, 95], known[100, 96], known[5, 95], known[5, 5]) == (0, 1, 0, -1)


def test_tiny_supports_and_queries_work(predictor):
    one = read_image(np.full((8, 8, 3), (230, 25, 25), np.uint8))
    prepared = predictor.prepare(parse_label("red"), [Support.from_mask(one, np.ones((8, 8), bool))])
    assert predictor.predict(prepared, one).mask.shape == (8, 8)
    assert iou(predictor.predict(prepared, picture()).mask, truth()) > 0.8


# -- a saved class --------------------------------------------------------------------------------------


def test_a_saved_class_predicts_the_same(predictor, tmp_path):
    supports = [Support.from_mask(picture(), truth()), Support(picture(seed=2))]
    prepared = predictor.prepare(parse_label("red, yellow", not_words="blue"), supports)
    path = prepared.save(tmp_path / "red.safetensors")
    loaded = Prepared.load(path)
    for name in ("label", "preset", "method", "phrases", "text_trust", "names", "digests", "sizes"):
        assert getattr(loaded, name) == getattr(prepared, name), name
    unprepared = replace(prepared, encoded=replace(prepared.encoded, prepared=None))
    for a, b in zip(tensors_of(loaded), tensors_of(unprepared), strict=True):
        torch.testing.assert_close(a, b, atol=2e-2, rtol=1e-2)
    for a, b in zip(loaded.thumbnails, prepared.thumbnails):
        assert np.array_equal(a, b)
    query = picture(seed=1)
    a, b = predictor.predict(loaded, query), predictor.predict(prepared, query)
    # Half precision may move a seed among cells of one colour.
    np.testing.assert_allclose(a.score, b.score, atol=5e-2)
    assert iou(a.mask, b.mask) > 0.995


def test_a_saved_class_is_small_and_leaves_no_other_file(red, tmp_path):
    path = red.save(tmp_path / "red.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["red.safetensors"]
    floats = sum(t.numel() for t in tensors_of(replace(red, encoded=replace(red.encoded, prepared=None))))
    assert path.stat().st_size < 2 * floats + red.thumbnails[0].size + 4096


def test_saving_does_not_change_the_class(red, tmp_path):
    before = [t.clone() for t in tensors_of(red)]
    red.save(tmp_path / "red.safetensors")
    for a, b in zip(tensors_of(red), before, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_a_class_saved_by_the_first_version_is_read(predictor, red, tmp_path):
    """Format 1 named no method, and counted the label's phrases in place of naming their roles."""
    from safetensors import safe_open

    path = red.save(tmp_path / "red.safetensors")
    with safe_open(str(path), "pt") as file:
        about = json.loads(file.metadata()["lfss"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    assert about["format"] == "lfss-class-2"
    for name in ("method", "roles", "presence_offset"):
        del about[name]
    about |= {"format": "lfss-class-1", "foreground": 1, "lift": 0.5}
    save_file(tensors, path, metadata={"lfss": json.dumps(about)})
    old = Prepared.load(path)
    assert (old.method, old.phrases, old.presence_offset) == ("lfss", red.phrases, 0.5)
    query = picture(seed=1)
    assert np.array_equal(predictor.predict(old, query).mask, predictor.predict(red, query).mask)


def test_a_moved_class_has_all_its_tensors_on_the_device(predictor, red):
    made = red.to("meta")
    assert {t.device.type for t in tensors_of(made)} == {"meta"}
    assert made.nbytes == red.nbytes


def damaged(kind: str, good: bytes) -> bytes:
    return {"empty": b"", "text": b"not a class" * 9, "cut": good[: len(good) // 2]}[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
def test_a_damaged_file_is_told_in_a_sentence(red, tmp_path, kind):
    path = tmp_path / "red.safetensors"
    good = red.save(path).read_bytes()
    path.write_bytes(damaged(kind, good))
    with pytest.raises(
        InputError, match=r"red\.safetensors.*is not a class saved by this program, or it is damaged"
    ):
        Prepared.load(path)


@pytest.mark.parametrize(
    "about",
    [None, "{}", "[]", "7", "{", json.dumps({"format": "lfss-class-0"})],
    ids=["nothing", "empty", "list", "number", "broken", "another format"],
)
def test_a_safetensors_file_of_something_else_is_refused(tmp_path, about):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata=None if about is None else {"lfss": about})
    with pytest.raises(InputError, match=r"other\.safetensors"):
        Prepared.load(path)


@pytest.mark.parametrize("missing", ["text", "known", "features.0", "thumbnail.0"])
def test_a_class_file_that_lacks_a_tensor_is_refused(red, tmp_path, missing):
    from safetensors import safe_open

    path = red.save(tmp_path / "red.safetensors")
    with safe_open(str(path), "pt") as file:
        about = file.metadata()
        tensors = {k: file.get_tensor(k) for k in file.keys() if k != missing}  # noqa: SIM118
    save_file(tensors, path, metadata=about)
    with pytest.raises(
        InputError, match=rf"cannot be used as a saved class: it has no .*{missing.split('.')[0]}"
    ):
        Prepared.load(path)


def test_a_missing_class_file_is_told(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        Prepared.load(tmp_path / "nowhere.safetensors")


# -- errors ---------------------------------------------------------------------------------------------


def test_no_support_is_an_error(predictor):
    with pytest.raises(SupportError, match="at least one support"):
        predictor.prepare(parse_label("red"), [])


def test_an_unknown_word_without_marks_is_an_error(predictor):
    with pytest.raises(SupportError, match=r"'gizmo'.*box, a scribble or a mask"):
        predictor.prepare(parse_label("gizmo"), [Support(picture())])


def test_marks_of_another_size_are_an_error():
    with pytest.raises(SupportError, match=r"\(240, 321\).*\(240, 320\)"):
        Support.from_mask(picture(), np.ones((240, 321), bool))


@pytest.mark.parametrize("value", [0, -1])
def test_marks_without_an_object_are_an_error(value):
    with pytest.raises(SupportError, match="show no object"):
        Support(picture(), np.full(SIZE, value, np.int8))


@pytest.mark.parametrize("box", [(50, 50, 50, 90), (400, 10, 500, 20), (-9, -9, -1, -1)])
def test_a_box_without_area_inside_the_picture_is_an_error(box):
    with pytest.raises(SupportError, match=r"no area inside 'red\.png'"):
        Support.from_box(picture(), box)


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
