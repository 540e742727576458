"""PAIA as a method of the contract: what each kind of support and picture does, batches, and its stages."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lfss.errors import NoForeground, WeightsMismatch
from lfss.methods import METHODS, Episode, EpisodeClass, Pictures, Step, collate
from lfss.methods.paia import Paia, PaiaConfig
from lfss.methods.paia.step1_prototypes import class_margin, original_prototypes, prototype_cosines
from lfss.similarity import concat_levels
from lfss.weights import save_model
from tests.masks import coin, noise

C, H, W = 6, 5, 4


def pictures(count: int, *, phrases: int = 2, seed: int) -> Pictures:
    levels = (noise(1, count, C, H, W, seed=seed), noise(1, count, C + 2, 3, 2, seed=seed + 1))
    return Pictures(levels, noise(1, count, phrases, H, W, seed=seed + 2))


def masks(count: int, *, seed: int) -> Tensor:
    return coin(1, count, H, W, seed=seed).float()


def one_class(*, shots: int = 2, auxiliary: int = 0, trust: float = 0.0, seed: int = 0) -> EpisodeClass:
    """A class whose supports have full masks."""
    return EpisodeClass(
        supports=pictures(shots, seed=seed),
        known=masks(shots, seed=seed + 3),
        unknown=torch.zeros(1, shots, H, W),
        phrase_roles=torch.tensor([[1, -1]], dtype=torch.int8),
        text_trust=torch.tensor([trust]),
        known_present=torch.tensor([False]),
        query_logits=noise(1, 2, H, W, seed=seed + 4),
        auxiliary=pictures(auxiliary, seed=seed + 5) if auxiliary else None,
    )


def unmarked(one: EpisodeClass, place: int) -> EpisodeClass:
    """The class with nothing known of one support."""
    known, unknown = one.known.clone(), one.unknown.clone()
    known[:, place], unknown[:, place] = 0, 1
    return replace(one, known=known, unknown=unknown)


def episode(*classes: EpisodeClass, seed: int = 100) -> Episode:
    return Episode((noise(1, C, H, W, seed=seed), noise(1, C + 2, 3, 2, seed=seed + 1)), classes)


def steps(given: Episode, **choices: object) -> dict[str, Step]:
    method = Paia(PaiaConfig(**choices)).eval()  # type: ignore[arg-type]
    with torch.inference_mode():
        return {step.key: step for step in method.steps(given)}


def logits(given: Episode, **choices: object) -> Tensor:
    return steps(given, **choices)["prediction"].query("logits")


def assert_same(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


def test_the_movements_of_all_usual_iterations_are_stages_and_the_background_is_the_first_colour():
    described = {stage.key: stage for stage in Paia.stages}
    steps = [stage.step for key, stage in described.items() if key.startswith("movement_")]
    assert steps == [f"fusion_{t}" for t in range(1, PaiaConfig().iterations + 1)]
    assert described["runner_up"].low == 0


def test_the_method_is_registered():
    assert METHODS["paia"] is Paia


@pytest.mark.parametrize("count", [1, 2, 3])
def test_without_auxiliary_pictures_it_is_the_plain_prototype(count):
    classes = [one_class(seed=20 * n, shots=1 + n) for n in range(count)]
    given = episode(*classes)
    features = [
        concat_levels([f.flatten(0, 1) for f in one.supports.features]).unflatten(0, (1, -1))
        for one in classes
    ]
    panet = original_prototypes(features, [o.known for o in classes], [1 - o.known for o in classes])
    cosines = prototype_cosines(concat_levels(given.query_features)[:, None], panet.prototypes)
    made = steps(given)
    assert_same(made["prediction"].query("logits"), class_margin(cosines, scale=20.0)[:, 0])
    assert not any(key.startswith("fusion") for key in made)


def test_auxiliary_pictures_move_the_prototype_and_say_how_far():
    given = episode(one_class(auxiliary=3))
    made = steps(given, iterations=2)
    assert made["fusion_1"].query("movement").shape == (1, 1)
    assert float(made["fusion_1"].query("movement")) > 0
    assert "fusion_3" not in made
    assert not torch.allclose(logits(given), logits(episode(one_class())))


def test_no_iteration_leaves_auxiliary_pictures_out():
    assert_same(logits(episode(one_class(auxiliary=3)), iterations=0), logits(episode(one_class())))


def test_an_unmarked_support_is_an_auxiliary_picture_where_the_word_is_not_known():
    marked = one_class(shots=1, seed=7)
    extra = pictures(1, seed=40)
    both = Pictures(
        tuple(torch.cat(pair, 1) for pair in zip(marked.supports.features, extra.features)),
        torch.cat((marked.supports.logits, extra.logits), 1),
    )
    as_support = unmarked(replace(one_class(shots=2, seed=7), supports=both), 1)
    as_support = replace(as_support, known=torch.cat((marked.known, torch.zeros(1, 1, H, W)), 1))
    as_auxiliary = replace(marked, auxiliary=extra)
    assert_same(logits(episode(as_support)), logits(episode(as_auxiliary)))


def test_what_an_unmarked_support_gave_is_shown_on_it():
    made = steps(episode(unmarked(one_class(shots=2), 1)))["fused"]
    taken, filtered = made.supports("taken")[0], made.supports("filtered")[0]
    assert torch.equal(taken[:, 0], one_class(shots=2).known[:, 0])
    assert taken[:, 1].any()
    assert not filtered[:, 0].any()
    assert float((taken + filtered).max()) <= 1


def test_the_text_reads_an_unmarked_support_where_it_knows_the_word():
    given = unmarked(one_class(shots=1, trust=1.0), 0)
    inside = steps(episode(given))["prototypes"].supports("weights")[0]
    text = (given.supports.logits[:, :, 0] - given.supports.logits[:, :, 1]).sigmoid()
    assert_same(inside, text * (text > 0.5))
    with pytest.raises(NoForeground):
        logits(episode(given), text_supports=False)


def test_the_inside_of_a_box_stands_for_the_object():
    box = masks(1, seed=9)
    boxed = replace(one_class(shots=1), known=torch.zeros_like(box), unknown=box)
    filled = replace(one_class(shots=1), known=box)
    assert_same(logits(episode(boxed)), logits(episode(filled)))


def test_a_class_without_a_support_that_shows_it_is_told_in_a_sentence():
    empty = unmarked(one_class(shots=1), 0)
    with pytest.raises(NoForeground, match="Mark the object"):
        logits(episode(one_class(seed=3), empty))


def test_the_query_teaches_only_if_it_may():
    given = episode(one_class())
    assert not torch.allclose(logits(given, transductive=True), logits(given))


def test_a_batch_gives_what_its_items_give():
    items = [
        episode(one_class(auxiliary=2, seed=s), one_class(auxiliary=2, seed=s + 50), seed=s) for s in (0, 9)
    ]
    items[1] = replace(items[1], classes=(unmarked(items[1].classes[0], 1), items[1].classes[1]))
    assert_same(logits(collate(items)), torch.cat([logits(item) for item in items]))


def test_prepared_once_it_gives_the_same():
    method, given = Paia().eval(), episode(one_class(auxiliary=2))
    prepared = replace(given, classes=tuple(method.prepare(one) for one in given.classes))
    assert_same(method(prepared), method(given))


def test_classes_compete_and_the_second_is_named():
    given = episode(one_class(seed=1), one_class(seed=30))
    made = steps(given)["prediction"]
    positive, second = made.query("logits") > 0, made.query("runner_up")
    assert not (positive[:, 0] & positive[:, 1]).any()
    assert torch.equal(second >= 0, positive)
    assert set(second[:, 0][positive[:, 0]].tolist()) <= {0, 2}
    assert set(second[:, 1][positive[:, 1]].tolist()) <= {0, 1}


def test_presence_is_the_text_towers_where_it_judges():
    judged = replace(one_class(), presence=torch.tensor([0.25]))
    unjudged = replace(one_class(seed=30), presence=torch.tensor([torch.nan]))
    made = steps(episode(judged, unjudged, one_class(seed=60)))["prediction"].query("presence")
    assert float(made[0, 0]) == 0.25
    assert not made.isnan().any()


def test_every_stage_names_a_tensor_of_the_right_kind():
    made = steps(episode(unmarked(one_class(shots=2), 1), one_class(seed=30)))
    for info in Paia.stages:
        step = made[info.step]
        if info.query is not None:
            assert step.query(info.query).shape[:2] == (1, 2)
        if info.supports is not None:
            assert [t.shape[1] for t in step.supports(info.supports)] == [2, 2]


def test_a_trained_threshold_is_loaded_and_other_weights_are_refused(tmp_path):
    method = Paia()
    assert method.threshold is not None
    torch.nn.init.constant_(method.threshold.out.bias, 0.25)
    save_model(tmp_path / "good", method.threshold.state_dict(), {"method": "paia"})
    save_model(tmp_path / "other", method.threshold.state_dict(), {"decoder": "portable"})
    common = {"backbone": "any", "channels": (C,)}
    loaded = Paia.build(**common, weights=str(tmp_path / "good")).threshold
    assert loaded is not None
    assert loaded.out.bias.tolist() == [0.25]
    with pytest.raises(WeightsMismatch, match="not a threshold of PAIA"):
        Paia.build(**common, weights=str(tmp_path / "other"))
    with pytest.raises(WeightsMismatch, match="is off"):
        Paia.build(**common, settings=PaiaConfig(threshold=False), weights=str(tmp_path / "good"))


def test_training_uses_the_soft_gate_and_gradients_reach_the_threshold():
    method = Paia().train()
    method(episode(one_class(auxiliary=3))).square().sum().backward()
    assert method.threshold is not None
    for parameter in (method.threshold.out.weight, method.threshold.out.bias):
        assert parameter.grad is not None
        assert parameter.grad.any()
