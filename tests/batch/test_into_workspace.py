"""A batch into a workspace: what is done stays done, and one bad picture costs one picture."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from samples import smooth_scores, write_photo

from lfss import __version__
from lfss.batch.drafts import IntoWorkspace, draft_of
from lfss.batch.loop import Query, Step, finished, here, run
from lfss.doubt import confidence, doubt
from lfss.errors import NoForeground, WeightsMismatch, WorkspaceError
from lfss.images import read_image
from lfss.labels import Label
from lfss.settings import Settings
from lfss.stages import Prediction, Stage
from lfss.workspace import Workspace

DOG, CAT = Label("dog", ("puppy",), ("cat",)), Label("cat")
SUPPORTS = {"dog": ("a" * 64,), "cat": ("b" * 64,)}


def predict(query, label=DOG, threshold=0.5):
    """A mask from the picture's digest."""
    scores = smooth_scores(*query.size, seed=int(query.digest[:6], 16) + sum(map(ord, label.text)))
    return Prediction(scores >= threshold, scores, 0.9, (), label, "fake", threshold, 0.0, "lfss")


def segment_with(seen=None, threshold=0.5, labels=(DOG,)):
    """Segments pictures, and notes which."""

    def segment(query):
        if seen is not None:
            seen.append(query.name)
        yield from ((number, predict(query, label, threshold)) for number, label in enumerate(labels))

    return segment


def carry_out(workspace, segment, paths, labels=("dog",), **options):
    sink = IntoWorkspace(workspace, {label: SUPPORTS[label] for label in labels}, **options)
    yield from finished(run((Query(path, path.name) for path in paths), here(segment, sink), sink))


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "ws", busy_seconds=0.2) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    return [write_photo(tmp_path / "photos" / f"{n}.png", n) for n in range(6)]


def outcomes(events):
    return [outcome.status for done in events for outcome in done.outcomes]


def test_a_batch_stores_what_was_predicted_and_who_made_it(workspace, photos):
    settings = Settings(0.4, snap=False, second_look=True, overlaps=(("dog", "sled"),))
    (one, *_) = carry_out(workspace, segment_with(threshold=0.4), photos, settings=settings)
    image = read_image(photos[0])
    expected = predict(image, threshold=0.4)
    kept = workspace.draft(image.digest, "dog")
    assert (kept.mask == expected.mask).all()
    assert kept.score == pytest.approx(confidence(expected.score, expected.mask))
    assert kept.doubt == doubt(expected)
    assert (kept.image_path, kept.status, kept.presence) == (photos[0], "proposed", 0.9)
    assert (kept.origin.model, kept.origin.label) == (f"fake {__version__}", "dog, puppy (not: cat)")
    assert (kept.origin.threshold, kept.origin.supports) == (0.4, ("a" * 64,))
    assert kept.origin.settings == {
        "assume_present": "no", "snap": "no", "second_look": "yes", "may_overlap": "dog, sled",
    }  # fmt: skip
    assert kept.origin.method == "lfss"
    (outcome,) = one.outcomes
    assert (outcome.image, outcome.label, outcome.status) == (str(photos[0]), "dog", "done")
    assert (outcome.area, outcome.doubt) == (kept.mask.mean(), kept.doubt)
    assert workspace.rethreshold("dog", 0.6) == 6


def test_a_second_run_predicts_nothing_again(workspace, photos):
    seen = []
    assert outcomes(carry_out(workspace, segment_with(seen), photos)) == ["done"] * 6
    assert outcomes(carry_out(workspace, segment_with(seen), photos)) == ["kept"] * 6
    assert len(seen) == 6


def test_all_labels_of_a_picture_are_read_and_segmented_at_once(workspace, photos, monkeypatch):
    seen = []
    both = carry_out(workspace, segment_with(seen, labels=(DOG, CAT)), photos, ("dog", "cat"))
    assert outcomes(both) == ["done"] * 12
    assert seen == [p.name for p in photos]
    assert workspace.stats().drafts == {"dog": {"proposed": 6}, "cat": {"proposed": 6}}
    assert {d.origin.supports for d in workspace.drafts("cat")} == {("b" * 64,)}


def test_a_label_that_is_there_stays_where_another_is_missing(workspace, photos):
    list(carry_out(workspace, segment_with(threshold=0.3), photos[:2]))
    both = carry_out(workspace, segment_with(labels=(DOG, CAT)), photos[:3], ("dog", "cat"))
    assert outcomes(both) == ["kept", "done"] * 2 + ["done", "done"]
    assert [d.origin.threshold for d in workspace.drafts("dog")] == [0.3, 0.3, 0.5]


def test_another_threshold_takes_back_nothing_that_another_label_got(workspace, photos):
    image = read_image(photos[0])
    one, other = predict(image, DOG), predict(image, CAT)
    other = replace(other, mask=other.mask & ~one.mask, lost={"dog": 0.5})
    for pairs, overlap in (((), False), ((("CAT", "dog"),), True)):
        run_ = carry_out(
            workspace,
            lambda query: enumerate((one, other)),
            photos[:1],
            ("dog", "cat"),
            settings=Settings(overlaps=pairs),
            again=True,
        )
        list(run_)
        workspace.rethreshold("cat", 0.2)
        both = workspace.draft(image.digest, "cat").mask & workspace.draft(image.digest, "dog").mask
        assert both.mean() > 0.05 if overlap else both.mean() < 0.01
        assert workspace.draft(image.digest, "cat").lost == {"dog": 0.5}


def test_again_leaves_only_what_a_person_has_decided(workspace, photos):
    seen = []
    list(carry_out(workspace, segment_with(), photos))
    workspace.set_status([read_image(p).digest for p in photos[:2]], "dog", "accepted")
    again = carry_out(workspace, segment_with(seen), photos, again=True)
    assert outcomes(again) == ["kept"] * 2 + ["done"] * 4
    assert seen == [p.name for p in photos[2:]]


def test_a_run_that_was_stopped_goes_on_where_it_stopped(workspace, photos):
    seen = []

    def until_the_fourth(query):
        if len(seen) == 3:
            raise KeyboardInterrupt
        return segment_with(seen)(query)

    with pytest.raises(KeyboardInterrupt):
        list(carry_out(workspace, until_the_fourth, photos))
    assert workspace.stats().drafts == {"dog": {"proposed": 3}}
    rest = outcomes(carry_out(workspace, segment_with(seen), photos))
    assert rest == ["kept"] * 3 + ["done"] * 3
    assert seen == [p.name for p in photos]


def test_what_has_been_yielded_is_stored(workspace, photos):
    for n, done in enumerate(carry_out(workspace, segment_with(), photos), start=1):
        with Workspace.open(workspace.folder, create=False) as other:
            assert other.has_draft(read_image(done.query.path).digest, "dog")
            assert other.stats().pictures == n
        if n == 2:
            break


def test_one_bad_picture_costs_one_picture(workspace, photos):
    photos[1].write_text("no picture")
    photos[3].unlink()

    def stumbles(query):
        if query.name == "4.png":
            raise RuntimeError("out of memory")
        if query.name == "5.png":
            raise NoForeground("No support shows the object.")
        return segment_with()(query)

    filled = list(carry_out(workspace, stumbles, photos))
    assert outcomes(filled) == ["done", "failed", "done", "failed", "failed", "failed"]
    messages = {done.query.path: done.outcomes[0].message for done in filled if done.outcomes[0].message}
    assert all(message.endswith(".") for message in messages.values())
    assert dict(workspace.failures("dog")) == messages
    assert "RuntimeError: out of memory" in messages[photos[4]]


def test_what_failed_is_tried_again_and_forgotten_when_it_succeeds(workspace, photos):
    photos[1].write_text("no picture")
    list(carry_out(workspace, segment_with(), photos))
    write_photo(photos[1], 1)
    assert outcomes(carry_out(workspace, segment_with(), photos)).count("done") == 1
    assert workspace.failures("dog") == []


def test_a_mask_that_does_not_fit_its_picture_is_a_failure_and_not_stored(workspace, photos):
    def shrunk(query):
        whole = predict(query)
        yield 0, replace(whole, mask=whole.mask[::2], score=whole.score[::2])

    assert outcomes(carry_out(workspace, shrunk, photos[:1])) == ["failed"]
    assert workspace.stats().pictures == 0


def test_a_copy_of_a_picture_is_not_predicted_twice(workspace, tmp_path, photos):
    copy = tmp_path / "copy.png"
    copy.write_bytes(photos[0].read_bytes())
    seen = []
    assert outcomes(carry_out(workspace, segment_with(seen), [photos[0], copy])) == ["done", "kept"]
    assert seen == ["0.png"]
    assert workspace.find_image(copy).digest == workspace.find_image(photos[0]).digest


def test_a_file_that_changed_is_predicted_again_and_the_earlier_draft_stays(workspace, photos):
    list(carry_out(workspace, segment_with(), photos[:1]))
    write_photo(photos[0], 99)
    assert outcomes(carry_out(workspace, segment_with(), photos[:1])) == ["done"]
    assert workspace.stats().pictures == 2


def test_an_edit_made_while_the_model_was_busy_is_kept(workspace, photos):
    image = read_image(photos[0])
    workspace.add_image(photos[0])
    workspace.add_label("dog")

    def slow(query):
        workspace.edit_mask(image.digest, "dog", np.ones(query.size, bool))
        return segment_with()(query)

    assert outcomes(carry_out(workspace, slow, photos[:1])) == ["kept"]
    assert workspace.draft(image.digest, "dog").mask.all()


def test_trouble_with_the_workspace_or_the_model_ends_the_batch(workspace, photos):
    def unfit(query):
        raise WeightsMismatch("Another preset.")

    with pytest.raises(WeightsMismatch):
        list(carry_out(workspace, unfit, photos))
    workspace.close()
    with pytest.raises(WorkspaceError):
        list(carry_out(workspace, segment_with(), photos))


def test_the_stages_of_the_picture_under_way_pass_through(workspace, photos):
    def in_steps(query):
        yield 0, Stage("one", "One", "mask")
        yield 0, predict(query)

    sink = IntoWorkspace(workspace, {"dog": ()})
    events = list(run([Query(photos[0], "a photo")], here(in_steps, sink), sink))
    assert [event.stage and event.stage.key for event in events if isinstance(event, Step)] == [None, "one"]
    assert workspace.drafts()[0].image_name == "a photo"


def test_a_run_ends_at_the_next_stage_once_it_is_cancelled(workspace, photos):
    stop = []

    def in_steps(query):
        yield 0, Stage("one", "One", "mask")
        if query.name == "2.png":
            stop.append(1)
        yield 0, Stage("two", "Two", "mask")
        yield 0, predict(query)

    sink = IntoWorkspace(workspace, {"dog": ()})
    workers = here(in_steps, sink, cancelled=lambda: bool(stop))
    events = list(run((Query(path, path.name) for path in photos), workers, sink))
    assert outcomes(finished(events)) == ["done"] * 2
    assert workspace.stats().drafts == {"dog": {"proposed": 2}}


def test_an_empty_mask_is_as_sure_as_the_object_is_absent(photos):
    image = read_image(photos[0])
    none = replace(predict(image), mask=np.zeros(image.size, bool), presence=0.2)
    assert draft_of(none, image).score == pytest.approx(0.8)


def test_memory_does_not_grow_with_the_number_of_pictures(workspace, tmp_path):
    def peak(first, last):
        paths = (write_photo(tmp_path / f"{n}.png", n, (200, 300)) for n in range(first, last))
        tracemalloc.start()
        for _ in carry_out(workspace, segment_with(), paths):
            pass
        for _ in workspace.drafts():
            pass
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(0, 5)  # imports and caches
    assert peak(20, 140) < 1.3 * peak(5, 20) + 100_000
