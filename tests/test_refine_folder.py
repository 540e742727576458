"""A folder pass over a workspace: what it changes, what it leaves, preview, undo, and a second pass."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from lfss.cells import Encoder
from lfss.drafts import Draft, Origin
from lfss.edge_network import EdgeNetwork
from lfss.errors import InputError
from lfss.images import read_image
from lfss.predictor import Predictor
from lfss.refine_folder import Change, _spread, changes, keep, learn, samples, undo
from lfss.refine_preview import GLIMPSE_SIDE, preview
from lfss.workspace import Workspace
from tests.fakes import scene

BOX = (64, 80, 160, 208)
SIZE = (240, 320)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", device="cpu")


def truth() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[BOX[0] : BOX[2], BOX[1] : BOX[3]] = True
    return mask


def score_of(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 0.8, 0.2).astype(np.float32)


def fill(folder: Path, workspace: Workspace, count: int = 6) -> list[str]:
    """Pictures of a red block, each with a first map that has a false island and a hole."""
    import cv2

    digests = []
    for i in range(count):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), scene("red", box=BOX, seed=i)[..., ::-1])
        image = read_image(path)
        first = truth()
        first[0:32, 280:320] = True
        first[80:112, 120:152] = False
        origin = Origin(model="fake 0", label="red")
        draft = Draft(image.name, image.digest, "red", first, presence=1.0, image_path=path, origin=origin)
        workspace.put_draft(draft, score_of(first))
        digests.append(image.digest)
    return digests


@pytest.fixture
def workspace(tmp_path: Path):
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def refine(workspace: Workspace, encoder: Encoder) -> int:
    found = chain.from_iterable(changes(workspace, encoder, learn(workspace, encoder, ["red"]), snap=False))
    return sum(keep(workspace, change) for change in found)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def mask_of(workspace: Workspace, digest: str) -> np.ndarray:
    draft = workspace.draft(digest, "red")
    assert draft is not None
    return draft.mask


def test_a_pass_puts_first_masks_right_and_undo_takes_all_of_it_back(tmp_path, workspace, predictor):
    digests = fill(tmp_path, workspace)
    before = [mask_of(workspace, d) for d in digests]
    assert refine(workspace, Encoder(predictor.encode)) == 6
    for digest, old in zip(digests, before):
        assert overlap(mask_of(workspace, digest), truth()) > overlap(old, truth()) + 0.05
    assert undo(workspace, ["red"]) == 6
    for digest, old in zip(digests, before):
        assert np.array_equal(mask_of(workspace, digest), old)
    assert undo(workspace, ["red"]) == 0


def test_a_second_pass_does_not_pile_up_on_the_first(tmp_path, workspace, predictor):
    fill(tmp_path, workspace)
    encoder = Encoder(predictor.encode)
    refine(workspace, encoder)
    assert refine(workspace, encoder) == 0


def test_the_folders_map_is_corrected_by_the_network_for_edges(tmp_path, workspace, predictor, monkeypatch):
    fill(tmp_path, workspace)
    asked = []
    edges = EdgeNetwork(3).eval()
    monkeypatch.setattr(EdgeNetwork, "forward", lambda self, *given: asked.append(given) or 0 * given[1])
    refine(workspace, Encoder(predictor.encode))
    assert not asked
    undo(workspace, ["red"])
    encoder = Encoder(predictor.encode, edges=edges)
    found = list(changes(workspace, encoder, learn(workspace, encoder, ["red"])))
    assert found
    assert len(asked) == len(found)


def test_what_a_person_checked_stays(tmp_path, workspace, predictor):
    digests = fill(tmp_path, workspace)
    workspace.set_status(digests[0], "red", "accepted")
    workspace.edit_mask(digests[1], "red", truth())
    workspace.set_status(digests[2], "red", "rejected")
    kept = [mask_of(workspace, d) for d in digests[:3]]
    assert refine(workspace, Encoder(predictor.encode)) == 3
    for digest, old in zip(digests, kept):
        assert np.array_equal(mask_of(workspace, digest), old)


def test_a_preview_counts_shows_the_biggest_and_stores_nothing(tmp_path, workspace, predictor):
    digests = fill(tmp_path, workspace, 12)
    encoder = Encoder(predictor.encode)
    seen = preview(changes(workspace, encoder, learn(workspace, encoder, ["red"]), snap=False))
    assert seen.changed == 12
    assert len(seen.biggest) == 10
    assert [c.overlap for c in seen.biggest] == sorted(c.overlap for c in seen.biggest)
    assert all(len(workspace.history(d, "red")) == 1 for d in digests)
    first = seen.biggest[0]
    assert (first.label, first.before.shape, first.after.shape) == ("red", SIZE, SIZE)
    assert (first.before != first.after).any()


@pytest.mark.parametrize("turned", [False, True])
def test_a_glimpse_of_a_large_and_thin_mask_has_the_longest_side_that_may_be(turned):
    mask = np.zeros((1, 4 * GLIMPSE_SIDE), bool)
    mask[:, 8:80] = True
    mask = mask.T if turned else mask
    draft = Draft("a.png", "0" * 64, "red", mask)
    seen = preview([[Change(mask, draft, mask.astype(np.float32), 1.0)]])
    for shown in (seen.biggest[0].before, seen.biggest[0].after):
        assert shown.shape == ((GLIMPSE_SIDE, 1) if turned else (1, GLIMPSE_SIDE))
        assert np.count_nonzero(shown) == 72 / 4


def test_each_picture_teaches_what_a_person_decided_and_else_what_the_model_said(
    tmp_path, workspace, predictor
):
    digests = fill(tmp_path, workspace)
    for digest, presence in zip(digests[:2], (0.3, None)):
        draft = workspace.draft(digest, "red")
        assert draft is not None
        workspace.put_draft(replace(draft, presence=presence), score_of(truth()))
    for digest, status in zip(digests[2:], ("accepted", "absent", "rejected")):
        workspace.set_status(digest, "red", status)
    taught = [
        (round(one.presence.item(), 3), one.checked.item(), one.known.item())
        for one in samples(workspace, Encoder(predictor.encode), ["red"])
    ]
    assert taught == [
        (1, True, True),  # accepted; what is checked comes first
        (0, True, True),  # absent
        (0.3, False, True),
        (1, False, True),  # the model does not say
        (0, False, False),  # rejected: neither mask nor map counts
        (1, False, True),
    ]


def test_teachers_are_spread_evenly_and_none_comes_twice():
    assert _spread(list("abcdef"), 3) == ["a", "c", "e"]
    assert _spread(list("ab"), 3) == ["a", "b"]


def test_an_object_that_was_judged_absent_stays_absent(tmp_path, workspace, predictor):
    digests = fill(tmp_path, workspace)
    draft = workspace.draft(digests[0], "red")
    assert draft is not None
    empty = Draft(
        draft.image_name, draft.image_digest, "red", np.zeros(SIZE, bool), presence=0.1,
        image_path=draft.image_path, origin=draft.origin,
    )  # fmt: skip
    workspace.put_draft(empty, score_of(truth()))
    refine(workspace, Encoder(predictor.encode))
    assert not mask_of(workspace, digests[0]).any()


def test_one_picture_alone_is_left_alone(tmp_path, workspace, predictor):
    fill(tmp_path, workspace, 1)
    encoder = Encoder(predictor.encode)
    lesson = learn(workspace, encoder, ["red"])
    assert not lesson.verdicts[0].helps
    assert list(changes(workspace, encoder, lesson)) == [()]


def test_a_picture_whose_file_is_gone_keeps_its_draft(tmp_path, workspace, predictor):
    digests = fill(tmp_path, workspace)
    (tmp_path / "0.png").unlink()
    before = mask_of(workspace, digests[0])
    assert refine(workspace, Encoder(predictor.encode)) == 5
    assert np.array_equal(mask_of(workspace, digests[0]), before)


def test_two_labels_that_are_one_word_and_an_empty_run_are_refused(tmp_path, workspace, predictor):
    encoder = Encoder(predictor.encode)
    with pytest.raises(InputError, match="not all different"):
        learn(workspace, encoder, ["red", "Red"])
    with pytest.raises(InputError, match="no drafts to learn from"):
        learn(workspace, encoder, [])
