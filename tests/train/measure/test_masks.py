"""The masks that are compared: supports as a person would mark them, and the masks that bound a claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from lfss.edge_network import EdgeNetwork
from lfss.images import Image
from lfss.labels import parse_label
from lfss.methods import Episode, Step
from lfss.methods.lfss import Lfss
from lfss.predictor import Predictor
from tests.fakes import preset, scene
from train.data.encode import KINDS, AnnotatedPicture, PreparedEpisode, make_support
from train.measure.masks import DECODER, FILTER, MASKS, SHIPPED, enlarge, episode_masks, presence_without

BOX = (60, 80, 180, 220)


def marked(seed: int = 0, colour: str = "red", box: tuple[int, int, int, int] = BOX) -> AnnotatedPicture:
    mask = np.zeros((240, 320), np.bool_)
    mask[box[0] : box[2], box[1] : box[3]] = True
    pixels = scene(colour, box=box, seed=seed)
    return AnnotatedPicture(Image(pixels, f"{colour}{seed}.png"), mask, np.zeros_like(mask))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(preset(), device="cpu")


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_each_kind_marks_what_it_says() -> None:
    truth = marked()
    given = {kind: make_support(truth, kind, seed=0).known for kind in KINDS}
    assert given["label"] is None
    assert set(np.unique(given["box"])) == {-1, 0}
    assert set(np.unique(given["scribble"])) == {-1, 0, 1}
    assert set(np.unique(given["object-scribble"])) == set(np.unique(given["point"])) == {-1, 1}
    np.testing.assert_array_equal(given["mask"] == 1, truth.mask)
    for known in (given["box"], given["scribble"], given["mask"]):
        assert not (known[truth.mask] == 0).any()
        assert not (known[~truth.mask] == 1).any()


def test_a_box_around_everything_is_no_box() -> None:
    whole = AnnotatedPicture(marked().image, np.ones((240, 320), np.bool_), np.zeros((240, 320), np.bool_))
    assert make_support(whole, "box", seed=0).known is None


def test_a_mask_that_shows_nothing_marks_nothing() -> None:
    picture = marked()
    assert make_support(picture._replace(mask=picture.mask & False), "mask", seed=0).known is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_scene_is_segmented_by_every_readout_that_looks(predictor: Predictor, kind: str) -> None:
    support, query = marked(0), marked(1, box=(30, 40, 150, 200))
    prepared = predictor.prepare(parse_label("red"), [make_support(support, kind, seed=0)])
    outcome = episode_masks(predictor, PreparedEpisode(prepared, [support], query))
    assert list(outcome.masks) == list(MASKS)
    for name, mask in outcome.masks.items():
        assert mask.shape == query.mask.shape
        assert mask.dtype == np.bool_
        if name != "all foreground":
            assert iou(mask, query.mask) > 0.85, name
    assert outcome.masks["all foreground"].all()


def test_readouts_are_the_predictors_own(predictor: Predictor) -> None:
    support, query = marked(0), marked(1)
    prepared = predictor.prepare(parse_label("red"), [make_support(support, "label", seed=0)])
    outcome = episode_masks(predictor, PreparedEpisode(prepared, [support], query))
    for name, snap in (("final", False), ("final, edges", True)):
        own = predictor.predict(prepared, query.image, assume_present=True, snap=snap).mask
        np.testing.assert_array_equal(outcome.masks[name], own)


def test_with_a_network_for_edges_both_the_filters_mask_and_the_corrected_one_are_scored(
    predictor: Predictor,
) -> None:
    torch.manual_seed(0)
    edges = EdgeNetwork(3).eval().requires_grad_(False)
    torch.nn.init.normal_(edges.head.weight, std=300.0)
    corrected = Predictor(predictor.preset, predictor.encoders, predictor.method, "cpu", edges)
    support, query = marked(0), marked(1)
    given = PreparedEpisode(
        corrected.prepare(parse_label("red"), [make_support(support, "label", seed=0)]), [support], query
    )
    masks = episode_masks(corrected, given).masks
    assert set(masks) == {*MASKS, FILTER}
    for name, model in ((FILTER, predictor), ("final, edges", corrected)):
        own = model.predict(given.prepared, query.image, assume_present=True).mask
        np.testing.assert_array_equal(masks[name], own)
    assert not np.array_equal(masks[FILTER], masks["final, edges"])


def test_prototypes_equal_a_plain_loop(predictor: Predictor) -> None:
    supports, query = [marked(0), marked(2, box=(0, 0, 100, 100))], marked(1)
    prepared = predictor.prepare(parse_label("red"), [make_support(s, "label", seed=0) for s in supports])
    outcome = episode_masks(predictor, PreparedEpisode(prepared, supports, query))
    sides = []
    for of_object in (True, False):
        means = []
        for k, support in enumerate(supports):
            cells = torch.nn.functional.normalize(prepared.encoded.supports.features[0][0, k], dim=0)
            h, w = cells.shape[1:]
            weight = np.zeros((h, w))
            for r in range(240):
                for c in range(320):
                    weight[r * h // 240, c * w // 320] += support.mask[r, c] == of_object
            weight = torch.from_numpy(weight).float()
            means.append((cells * weight).sum((1, 2)) / weight.sum())
        sides.append(torch.nn.functional.normalize(torch.stack(means).mean(0), dim=0))
    episode = predictor.episode(prepared, query.image, assume_present=True)
    cells = torch.nn.functional.normalize(episode.query_features[0][0], dim=0)
    difference = torch.einsum("chw,c->hw", cells, sides[0] - sides[1])
    expected = enlarge(difference, (240, 320)) > 0
    assert (outcome.masks["prototype, true mask"] != expected).mean() < 0.005


def test_the_shipped_mask_is_empty_where_the_object_is_judged_absent(predictor: Predictor) -> None:
    support = marked(0)
    for colour, found in (("red", True), ("blue", False)):
        query = marked(1, colour=colour)
        given = PreparedEpisode(
            predictor.prepare(parse_label("red"), [make_support(support, "label", seed=0)]), [support], query
        )
        assert SHIPPED not in episode_masks(predictor, given).masks
        assert episode_masks(predictor, given, shipped=True).masks[SHIPPED].any() == found


def test_the_shipped_mask_is_that_of_the_decoder_that_ships(predictor: Predictor) -> None:
    class Nothing(Lfss):
        def steps(self, episode: Episode) -> Iterator[Step]:
            *before, last = super().steps(episode)
            yield from before
            yield replace(last, tensors={**last.tensors, "logits": last.query("logits") - 1000})

    support = marked(0)
    given = PreparedEpisode(
        predictor.prepare(parse_label("red"), [make_support(support, "label", seed=0)]), [support], marked(1)
    )
    other = Nothing(predictor.encoders.backbone.channels).eval()
    masks = episode_masks(predictor, given, {DECODER: other}, shipped=True).masks
    assert masks["final, edges"].any()
    assert not masks[DECODER].any()
    assert not masks[SHIPPED].any()


def test_a_compared_decoder_decides_also_where_the_product_leaves_it_out(predictor: Predictor) -> None:
    """With a mask in the support the product answers by the rule, and a comparison is about the decoder."""
    config = replace(predictor.method.config, keep_maps=True)
    channels = predictor.encoders.backbone.channels
    plain = Lfss(channels, config).eval()
    compared = Predictor(predictor.preset, predictor.encoders, plain, "cpu")
    torch.manual_seed(0)
    decoder = Lfss(channels, replace(config, decoder="portable", keep_maps=False)).eval()
    torch.nn.init.normal_(decoder.portable.head.weight, std=100.0)
    support = marked(0)
    prepared = compared.prepare(parse_label("red"), [make_support(support, "mask", seed=0)])
    given = PreparedEpisode(prepared, [support], marked(1))
    masks = episode_masks(compared, given, {"new": decoder, DECODER: decoder}).masks
    assert (masks["new"] != masks["final"]).mean() > 0.1
    np.testing.assert_array_equal(masks[DECODER], masks["final"])


def test_presence_is_lower_where_the_object_is_not(predictor: Predictor) -> None:
    support = marked(0)
    prepared = predictor.prepare(parse_label("red"), [make_support(support, "label", seed=0)])
    outcome = episode_masks(predictor, PreparedEpisode(prepared, [support], marked(1)))
    assert presence_without(predictor, prepared, marked(3, colour="blue").image) < outcome.presence
