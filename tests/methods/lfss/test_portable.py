"""The portable decoder and the maps that it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lfss.labels import WEAK
from lfss.methods import THUMBNAIL_SIDE, Episode
from lfss.methods.lfss import InitialMasks, Lfss, LfssConfig, PortableDecoder, background_similarity
from lfss.methods.lfss.portable import MAP_NAMES, MAP_SIDE, portable_maps
from lfss.similarity import resize_map, unit
from tests.masks import coin, noise
from tests.methods.made import a_class, of_class

B, K, H, W = 2, 2, 8, 9
CHANNELS = (6, 4)


def episode(
    *,
    scale: float = 1.0,
    channels: tuple[int, int] = CHANNELS,
    trust: float = 1.0,
    known: Tensor | None = None,
    marked: bool = True,
) -> Episode:
    """Random features on two levels with supports that are marked, or not, and a small picture."""
    fine, coarse = channels
    known = coin(B, K, H, W, seed=7, share=0.4).float() if known is None else known
    known, unknown = (known, torch.zeros_like(known)) if marked else (torch.zeros_like(known), known * 0 + 1)
    features = (scale * noise(B, K, fine, H, W, seed=3), noise(B, K, coarse, 4, 5, seed=4))
    return Episode(
        query_features=(scale * noise(B, fine, H, W, seed=5), noise(B, coarse, 4, 5, seed=6)),
        classes=(a_class(known, unknown, features, phrases=(1, 2), trust=trust, seed=-1),),
        query_thumbnail=noise(B, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE, seed=8).sigmoid(),
    )


def maps(given: Episode, channels: tuple[int, int] = CHANNELS) -> Tensor:
    """What the portable decoder would read."""
    *_, last = Lfss(channels, LfssConfig(keep_maps=True)).eval().steps(given)
    return last.query("maps")[:, 0]


def test_there_is_one_map_for_each_name_within_its_range():
    made = maps(episode())
    assert made.shape == (B, len(MAP_NAMES), MAP_SIDE, MAP_SIDE)
    assert made.isfinite().all()
    assert made.abs().max() <= 3


def test_keeping_the_maps_does_not_change_the_logits():
    given = episode()
    assert torch.equal(Lfss(CHANNELS)(given), Lfss(CHANNELS, LfssConfig(keep_maps=True))(given))


def test_the_maps_do_not_depend_on_the_length_of_features():
    torch.testing.assert_close(maps(episode(scale=50.0)), maps(episode()), atol=1e-3, rtol=1e-3)


def test_the_maps_have_one_shape_whatever_the_network():
    assert maps(episode(channels=(9, 3)), (9, 3)).shape == maps(episode()).shape


@pytest.mark.parametrize("area", ["empty", "full"])
def test_empty_and_full_supports_give_finite_maps(area):
    known = torch.full((B, K, H, W), float(area == "full"))
    assert maps(episode(known=known)).isfinite().all()


def test_an_untrained_decoder_is_the_fixed_rule():
    torch.manual_seed(0)
    given = episode(marked=False)
    with torch.no_grad():
        logits = Lfss(CHANNELS, LfssConfig(decoder="portable")).eval()(given)[:, 0]
        plain = Lfss(CHANNELS).eval()(given)[:, 0]
    assert logits.shape == (B, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    enlarged = torch.nn.functional.interpolate(plain[:, None], (MAP_SIDE, MAP_SIDE), mode="bilinear")
    expected = torch.nn.functional.interpolate(enlarged, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), mode="bilinear")[
        :, 0
    ]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.fixture
def moved() -> Lfss:
    """A method whose portable decoder changes the logits."""
    torch.manual_seed(0)
    method = Lfss(CHANNELS, LfssConfig(decoder="portable")).eval().requires_grad_(False)
    torch.nn.init.normal_(method.portable.head.weight)
    return method


@pytest.mark.parametrize(("trust", "marked"), [(0.0, False), (WEAK - 0.01, False), (1.0, True)])
def test_the_training_free_rule_decides_for_weak_words_and_where_something_is_marked(moved, trust, marked):
    given = episode(trust=trust, marked=marked)
    torch.testing.assert_close(moved(given), Lfss(CHANNELS)(given))
    assert moved(episode(trust=WEAK, marked=False)).shape == (B, 1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def test_in_a_batch_each_item_is_decided_by_its_own_word(moved):
    given = episode(marked=False)
    mixed = of_class(given, text_trust=torch.tensor([1.0, 0.0]))
    made = moved(mixed)[:, 0]
    torch.testing.assert_close(made[0], moved(given)[0, 0])
    rule = Lfss(CHANNELS)(of_class(given, text_trust=torch.zeros(B)))[:, 0]
    enlarged = torch.nn.functional.interpolate(rule[:, None], made.shape[-2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(made[1], enlarged[1], atol=1e-4, rtol=1e-4)


def test_without_a_picture_the_decoder_says_what_is_missing():
    with pytest.raises(ValueError, match="query_thumbnail"):
        Lfss(CHANNELS, LfssConfig(decoder="portable"))(replace(episode(marked=False), query_thumbnail=None))


def test_every_parameter_gets_a_gradient_once_the_head_has_moved():
    """The head starts at zero, so the first step reaches the head alone."""
    torch.manual_seed(0)
    decoder = PortableDecoder(maps=3, width=8)
    given = (noise(2, 3, 10, 10), noise(2, 10, 10, seed=1), noise(2, 3, 20, 20, seed=2).sigmoid())
    truth = coin(2, 20, 20).float()
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(decoder(*given), truth).backward()
        optimizer.step()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_decoder_corrects_and_does_not_change_its_inputs():
    torch.manual_seed(0)
    decoder = PortableDecoder(maps=3, width=8)
    torch.nn.init.normal_(decoder.head.weight)
    given = (noise(2, 3, 10, 10), noise(2, 10, 10, seed=1), noise(2, 3, 20, 20, seed=2).sigmoid())
    before = [t.clone() for t in given]
    assert decoder(*given).shape == (2, 20, 20)
    for a, b in zip(given, before):
        assert torch.equal(a, b)


def test_the_maps_are_their_formulas_picture_by_picture():
    """Three pictures, two supports and three levels, so that no two axes can be mistaken for each other."""
    b, k, c, size = 3, 2, 5, (6, 7)
    query, support = (
        unit(noise(b, c, *size)),
        unit(noise(b, k, c, *size, seed=1).flatten(0, 1)).view(b, k, c, *size),
    )
    area, areas = coin(b, *size, seed=2), coin(b, k, *size, seed=3)
    association, fcm = noise(b, *size, seed=4), noise(b, *size, seed=5)
    text, first = (
        noise(b, *size, seed=6).sigmoid(),
        (4 * noise(b, *size, seed=7)).sigmoid().clamp(0.002, 0.998),
    )
    levels = [noise(b, c, *size, seed=8), noise(b, c, 4, 4, seed=9), noise(b, c, 3, 4, seed=10)]
    shots = [noise(b, k, c, *level.shape[-2:], seed=11 + i) for i, level in enumerate(levels)]
    trust, marked = torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 0.5, 1.0])
    nothing = torch.zeros(b, k, *size)
    made = portable_maps(
        first=InitialMasks(nothing, first, nothing > 0, first > 0.5, nothing, text, trust),
        query=query, query_mask=area, support=support, support_mask=areas, association=association, fcm=fcm,
        query_levels=tuple(levels), support_levels=tuple(shots), text_trust=trust, marked=marked, cells=100,
    )  # fmt: skip

    def mean(features: Tensor, weight: Tensor) -> Tensor:
        return (features * weight).sum((1, 2)) / weight.sum()

    def cosine(features: Tensor, vector: Tensor) -> Tensor:
        return torch.cosine_similarity(features, vector[:, None, None], dim=0)

    def scaled(margin: Tensor) -> Tensor:
        return (margin / margin.std()).clamp(-3, 3)

    def margin(level: int, n: int) -> Tensor:
        means = []
        for inside in (areas[n], ~areas[n]):
            soft = resize_map(inside.float(), levels[level].shape[-2:])  # (K, h, w)
            means.append(sum(mean(unit(shots[level][n])[i], soft[i]) for i in range(k)) / k)
        return resize_map(
            (cosine(levels[level][n], means[0]) - cosine(levels[level][n], means[1]))[None], size
        )[0]

    for n in range(b):
        to_support = cosine(query[n], sum(mean(support[n, i], ~areas[n, i]) for i in range(k)) / k)
        to_query = cosine(query[n], mean(query[n], ~area[n]))
        behind = (to_support + to_query) / 2
        cosines = torch.einsum("chw,kcyx->hwkyx", query[n], support[n]).flatten(2)  # (h, w, K * n)
        nearest = cosines[..., areas[n].flatten()].amax(2) - cosines[..., ~areas[n].flatten()].amax(2)
        own = cosine(query[n], mean(query[n], area[n])) - background_similarity(query, area, keys=100)[n]
        expected = {
            "text": text[n].logit() / 4 * trust[n],
            "first map": first[n].logit() / 4,
            "initial mask": (first[n] > 0.5).float(),
            "refined mask": area[n].float(),
            "RCM": scaled(fcm[n] - behind) * area[n],
            "FCM margin": scaled(fcm[n] - behind),
            "association margin": scaled(association[n] - behind),
            "own margin": scaled(own),
            "nearest margin": scaled(nearest),
            "FCM": scaled(fcm[n] - fcm[n].mean()),
            "association": scaled(association[n] - association[n].mean()),
            "support background": scaled(to_support - to_support.mean()),
            "query background": scaled(to_query - to_query.mean()),
            "text trust": trust[n].expand(size),
            "marked": marked[n].expand(size),
        }
        for name, one in expected.items():
            enlarged = resize_map(one[None], (MAP_SIDE, MAP_SIDE))[0]
            torch.testing.assert_close(
                made[n, MAP_NAMES.index(name)], enlarged, atol=1e-4, rtol=1e-4, msg=name
            )
        for name, level in (("fine level margin", 0), ("coarse level margin", 2)):
            likeness = torch.corrcoef(
                torch.stack(
                    (made[n, MAP_NAMES.index(name)], resize_map(margin(level, n)[None], (MAP_SIDE,) * 2)[0])
                ).flatten(1)
            )
            assert likeness[0, 1] > 0.99, name
