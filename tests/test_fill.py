"""A batch into a workspace: what is done stays done, and one bad picture costs one picture."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from samples import smooth_scores, write_photo

from lfss import __version__
from lfss.doubt import confidence
from lfss.errors import NoForeground, WeightsMismatch, WorkspaceError
from lfss.fill import Progress, draft_of, fill
from lfss.images import read_image
from lfss.labels import Label
from lfss.stages import Prediction
from lfss.workspace import Workspace


@dataclass(frozen=True)
class FakeClass:
    label: Label = field(default_factory=lambda: Label("dog", ("puppy",), ("cat",)))
    digests: tuple[str, ...] = ("a" * 64,)


def predict(prepared, query, threshold=0.5, seen=None):
    """A mask from the picture's digest; notes which pictures it was asked for."""
    if seen is not None:
        seen.append(query.name)
    scores = smooth_scores(*query.size, seed=int(query.digest[:6], 16))
    return Prediction(
        mask=scores >= threshold,
        score=scores,
        presence=0.9,
        stages=(),
        label=prepared.label,
        preset="fake",
        threshold=threshold,
        seconds=0.0,
    )


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "ws", busy_seconds=0.2) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    return [write_photo(tmp_path / "photos" / f"{n}.png", n) for n in range(6)]


def outcomes(filled):
    return [f.outcome for f in filled]


def test_a_batch_stores_what_was_predicted_and_who_made_it(workspace, photos):
    (one, *_) = fill(
        workspace, partial(predict, threshold=0.4), FakeClass(), photos, settings={"edges": "on"}
    )
    image = read_image(photos[0])
    expected = predict(FakeClass(), image, threshold=0.4)
    kept = workspace.draft(image.digest, "dog")
    assert (kept.mask == expected.mask).all()
    assert kept.score == pytest.approx(confidence(expected.score, expected.mask))
    assert (kept.image_path, kept.status, kept.presence) == (photos[0], "proposed", 0.9)
    assert (kept.origin.model, kept.origin.label) == (f"fake {__version__}", "dog, puppy (not: cat)")
    assert (kept.origin.threshold, kept.origin.supports) == (0.4, ("a" * 64,))
    assert kept.origin.settings == {"edges": "on"}
    assert (one.path, one.outcome, one.draft.image_digest) == (photos[0], "drafted", image.digest)
    assert workspace.rethreshold("dog", 0.6) == 6


def test_a_second_run_predicts_nothing_again(workspace, photos):
    seen = []
    assert outcomes(fill(workspace, partial(predict, seen=seen), FakeClass(), photos)) == ["drafted"] * 6
    assert outcomes(fill(workspace, partial(predict, seen=seen), FakeClass(), photos)) == ["kept"] * 6
    assert len(seen) == 6


def test_again_leaves_only_what_a_person_has_decided(workspace, photos):
    seen = []
    list(fill(workspace, predict, FakeClass(), photos))
    workspace.set_status([read_image(p).digest for p in photos[:2]], "dog", "accepted")
    again = fill(workspace, partial(predict, seen=seen), FakeClass(), photos, again=True)
    assert outcomes(again) == ["kept"] * 2 + ["drafted"] * 4
    assert seen == [p.name for p in photos[2:]]


def test_a_run_that_was_stopped_goes_on_where_it_stopped(workspace, photos):
    seen = []

    def until_the_fourth(prepared, query):
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(prepared, query, seen=seen)

    with pytest.raises(KeyboardInterrupt):
        list(fill(workspace, until_the_fourth, FakeClass(), photos))
    assert workspace.stats().drafts == {"dog": {"proposed": 3}}
    rest = outcomes(fill(workspace, partial(predict, seen=seen), FakeClass(), photos))
    assert rest == ["kept"] * 3 + ["drafted"] * 3
    assert seen == [p.name for p in photos]


def test_what_has_been_yielded_is_stored(workspace, photos):
    for n, filled in enumerate(fill(workspace, predict, FakeClass(), photos), start=1):
        with Workspace.open(workspace.folder, create=False) as other:
            assert other.has_draft(filled.draft.image_digest, "dog")
            assert other.stats().pictures == n
        if n == 2:
            break


def test_one_bad_picture_costs_one_picture(workspace, photos):
    photos[1].write_text("no picture")
    photos[3].unlink()

    def stumbles(prepared, query):
        if query.name == "4.png":
            raise RuntimeError("out of memory")
        if query.name == "5.png":
            raise NoForeground("No support shows the object.")
        return predict(prepared, query)

    filled = list(fill(workspace, stumbles, FakeClass(), photos))
    assert outcomes(filled) == ["drafted", "failed", "drafted", "failed", "failed", "failed"]
    assert all(f.message.endswith(".") for f in filled if f.outcome == "failed")
    assert dict(workspace.failures("dog")) == {f.path: f.message for f in filled if f.message}
    assert "RuntimeError: out of memory" in filled[4].message


def test_what_failed_is_tried_again_and_forgotten_when_it_succeeds(workspace, photos):
    photos[1].write_text("no picture")
    list(fill(workspace, predict, FakeClass(), photos))
    write_photo(photos[1], 1)
    assert outcomes(fill(workspace, predict, FakeClass(), photos)).count("drafted") == 1
    assert workspace.failures("dog") == []


def test_a_mask_that_does_not_fit_its_picture_is_a_failure_and_not_stored(workspace, photos):
    def shrunk(prepared, query):
        whole = predict(prepared, query)
        return Prediction(**{**vars(whole), "mask": whole.mask[::2], "score": whole.score[::2]})

    assert outcomes(fill(workspace, shrunk, FakeClass(), photos[:1])) == ["failed"]
    assert workspace.stats().pictures == 0


def test_a_copy_of_a_picture_is_not_predicted_twice(workspace, tmp_path, photos):
    copy = tmp_path / "copy.png"
    copy.write_bytes(photos[0].read_bytes())
    seen = []
    assert outcomes(fill(workspace, partial(predict, seen=seen), FakeClass(), [photos[0], copy])) == [
        "drafted",
        "kept",
    ]
    assert seen == ["0.png"]
    assert workspace.find_image(copy).digest == workspace.find_image(photos[0]).digest


def test_a_file_that_changed_is_predicted_again_and_the_earlier_draft_stays(workspace, photos):
    list(fill(workspace, predict, FakeClass(), photos[:1]))
    write_photo(photos[0], 99)
    assert outcomes(fill(workspace, predict, FakeClass(), photos[:1])) == ["drafted"]
    assert workspace.stats().pictures == 2


def test_an_edit_made_while_the_model_was_busy_is_kept(workspace, photos):
    image = read_image(photos[0])
    workspace.add_image(photos[0])
    workspace.add_label("dog")

    def slow(prepared, query):
        workspace.edit_mask(image.digest, "dog", np.ones(query.size, bool))
        return predict(prepared, query)

    assert outcomes(fill(workspace, slow, FakeClass(), photos[:1])) == ["kept"]
    assert workspace.draft(image.digest, "dog").mask.all()


def test_trouble_with_the_workspace_or_the_model_ends_the_batch(workspace, photos):
    def unfit(prepared, query):
        raise WeightsMismatch("Another preset.")

    with pytest.raises(WeightsMismatch):
        list(fill(workspace, unfit, FakeClass(), photos))
    workspace.close()
    with pytest.raises(WorkspaceError):
        list(fill(workspace, predict, FakeClass(), photos))


def test_progress_counts_and_tells_the_time_left(workspace, photos):
    seen = []
    list(
        fill(
            workspace,
            predict,
            FakeClass(),
            photos,
            on_progress=lambda p: seen.append((p.done, p.total, p.seconds_left)),
        )
    )
    assert [s[:2] for s in seen] == [(n, 6) for n in range(1, 7)]
    assert seen[-1][2] == 0
    halfway = Progress(10, drafted=3, kept=2, failed=1, seconds=8.0)
    assert halfway.seconds_left == pytest.approx(8.0)  # 2 s for each of 4
    assert Progress(None, drafted=3).seconds_left is None


def test_an_empty_mask_is_as_sure_as_the_object_is_absent(photos):
    image = read_image(photos[0])
    whole = predict(FakeClass(), image)
    none = Prediction(**{**vars(whole), "mask": np.zeros(image.size, bool), "presence": 0.2})
    assert draft_of(none, image).score == pytest.approx(0.8)


def test_memory_does_not_grow_with_the_number_of_pictures(workspace, tmp_path):
    def peak(first, last):
        paths = (write_photo(tmp_path / f"{n}.png", n, (200, 300)) for n in range(first, last))
        tracemalloc.start()
        for _ in fill(workspace, predict, FakeClass(), paths):
            pass
        for _ in workspace.drafts():
            pass
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(0, 5)  # imports and caches
    assert peak(20, 140) < 1.3 * peak(5, 20) + 100_000
