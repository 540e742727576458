"""A batch over a Ray cluster: every picture once, whoever dies, and only this process writes."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from samples import smooth_scores, write_photo

from lfss.batch import on_ray
from lfss.batch.drafts import IntoWorkspace
from lfss.batch.loop import Query, finished, run
from lfss.errors import InputError, WeightsUnavailable
from lfss.images import read_image
from lfss.labels import Label
from lfss.stages import Prediction
from lfss.workspace import Workspace

TESTS = Path(__file__).parents[1]
SUPPORTS = {"dog": ("a" * 64,), "cat": ("b" * 64,)}


def predictions(query, labels):
    for number, label in enumerate(labels):
        scores = smooth_scores(*query.size, seed=int(query.digest[:6], 16) + number)
        yield number, Prediction(scores >= 0.5, scores, 0.9, (), Label(label), "fake", 0.5, 0.0)


def load(notes: Path, deadly: tuple[str, ...] = (), always: bool = False, labels: tuple[str, ...] = ("dog",)):
    """A model that notes each loading and each prediction, and dies of some pictures."""

    def segment_or_die(query):
        note = notes / f"died of {query.name}"
        if query.name in deadly and (always or not note.exists()):
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (notes / f"predicted {query.name} {time.monotonic_ns()}").touch()
        time.sleep(0.02)
        return predictions(query, labels)

    (notes / f"loaded {os.getpid()}").touch()
    return segment_or_die


def carry_out(workspace, load, photos, *, labels=("dog",), **options):
    """The run on the cluster, as (path, status) of each label of each picture as it is done."""
    sink = IntoWorkspace(workspace, {label: SUPPORTS[label] for label in labels})
    queries = (Query(path, path.name) for path in photos)
    for done in finished(run(queries, on_ray.on_ray(load, sink, **options), sink)):
        for outcome in done.outcomes:
            yield done.query.path, outcome


def load_without_weights():
    raise WeightsUnavailable("The weights are not here.")


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'ray\[default\]'"):
        on_ray.connect()


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="the optional package Ray is not installed")
    with pytest.raises(InputError, match="no Ray cluster"):
        on_ray.connect("127.0.0.1:1")
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent), *sys.path])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises a plain Exception where its own processes take too long
        pytest.skip(f"a Ray cluster cannot be started on this machine now: {error}")
    yield ray
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    return [write_photo(tmp_path / "photos" / f"{n}.png", n) for n in range(30)]


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def count(notes: Path, what: str) -> int:
    return len(list(notes.glob(f"{what}*")))


def assert_each_once(workspace: Workspace, photos: list[Path]) -> None:
    assert workspace.stats().drafts == {"dog": {"proposed": len(photos)}}
    for photo in photos:
        digest = workspace.find_image(photo).digest
        assert [c.action for c in workspace.history(digest, "dog")] == ["proposed"]
    assert workspace.check() == []


slow = pytest.mark.slow


@slow
def test_two_workers_do_every_picture_once_with_the_model_loaded_once_each(ray, workspace, photos, notes):
    filled = list(carry_out(workspace, partial(load, notes), iter(photos)))
    assert sorted(path for path, _ in filled) == sorted(photos)
    assert {o.status for _, o in filled} == {"done"}
    assert_each_once(workspace, photos)
    assert (count(notes, "loaded"), count(notes, "predicted")) == (2, 30)
    kept = workspace.drafts("dog")[0]
    ((_, expected),) = predictions(read_image(kept.image_path), ["dog"])
    assert (kept.mask == expected.mask).all()
    assert kept.origin.supports == ("a" * 64,)


@slow
def test_a_worker_killed_half_way_costs_no_picture_and_none_is_stored_twice(ray, workspace, photos, notes):
    filled = list(carry_out(workspace, partial(load, notes, ("15.png",)), photos))
    assert count(notes, "died of") == 1
    assert sorted(path for path, _ in filled) == sorted(photos)
    assert {o.status for _, o in filled} == {"done"}
    assert_each_once(workspace, photos)
    assert count(notes, "loaded") in (2, 3), "the killed worker comes back, unless the other was done by then"


@slow
def test_a_picture_that_kills_every_worker_is_left_alone_and_only_that_one(ray, workspace, photos, notes):
    filled = list(carry_out(workspace, partial(load, notes, ("7.png",), always=True), photos))
    failed = [(path, o.message) for path, o in filled if o.status == "failed"]
    assert [path for path, _ in failed] == [photos[7]]
    assert failed[0][1].startswith("3 workers died while they segmented '7.png'.")
    assert workspace.failures("dog") == failed
    assert_each_once(workspace, photos[:7] + photos[8:])


@slow
def test_a_run_that_was_stopped_resumes(ray, workspace, photos, notes):
    photos[3].write_text("no picture")
    under_way = carry_out(workspace, partial(load, notes), photos)
    first = [next(under_way) for _ in range(10)]
    under_way.close()
    done = sum(o.status == "done" for _, o in first)
    filled = list(carry_out(workspace, partial(load, notes), photos))
    outcomes = [o.status for _, o in filled]
    assert (outcomes.count("kept"), outcomes.count("done")) == (done, 29 - done)
    assert outcomes.count("failed") == 1
    assert_each_once(workspace, photos[:3] + photos[4:])


@slow
def test_only_a_few_paths_are_read_ahead(ray, workspace, photos, notes):
    read = 0

    def paths():
        nonlocal read
        for path in photos:
            read += 1
            yield path

    ahead = []
    for done, _ in enumerate(carry_out(workspace, partial(load, notes), paths()), start=1):
        ahead.append(read - done)
    assert max(ahead) <= 2 * on_ray.QUEUED


@slow
def test_several_labels_of_a_picture_come_back_together(ray, workspace, photos, notes):
    labels = ("dog", "cat")
    found = list(carry_out(workspace, partial(load, notes, labels=labels), photos[:6], labels=labels))
    assert [o.label for _, o in found] == ["dog", "cat"] * 6
    assert count(notes, "predicted") == 6
    assert workspace.stats().drafts == {label: {"proposed": 6} for label in labels}
    assert {d.origin.supports for d in workspace.drafts("cat")} == {("b" * 64,)}


@slow
def test_a_worker_without_weights_says_so_in_its_own_words(ray, workspace, photos):
    with pytest.raises(WeightsUnavailable, match=r"^The weights are not here\.$"):
        list(carry_out(workspace, load_without_weights, photos))


@slow
def test_a_cluster_without_room_is_told(ray, workspace, photos, notes):
    with pytest.raises(InputError, match="No worker of 1 processors and 1 GPUs could start"):
        list(carry_out(workspace, partial(load, notes), photos, workers=1, gpus=1, start_seconds=1))
