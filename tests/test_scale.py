"""A batch over a Ray cluster: every picture once, whoever dies, and only this process writes."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from samples import smooth_scores, write_photo

from lfss import scale
from lfss.errors import InputError, WeightsUnavailable
from lfss.labels import Label
from lfss.stages import Prediction
from lfss.workspace import Workspace


@dataclass(frozen=True)
class FakeClass:
    label: Label = field(default_factory=lambda: Label("dog"))
    digests: tuple[str, ...] = ("a" * 64,)


def predict(prepared, query):
    scores = smooth_scores(*query.size, seed=int(query.digest[:6], 16))
    return Prediction(scores >= 0.5, scores, 0.9, (), prepared.label, "fake", 0.5, 0.0)


def load(notes: Path, deadly: tuple[str, ...] = (), always: bool = False):
    """A model that notes each loading and each prediction, and dies of some pictures."""

    def predict_or_die(prepared, query):
        note = notes / f"died of {query.name}"
        if query.name in deadly and (always or not note.exists()):
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (notes / f"predicted {query.name} {time.monotonic_ns()}").touch()
        time.sleep(0.02)
        return predict(prepared, query)

    (notes / f"loaded {os.getpid()}").touch()
    return predict_or_die, FakeClass()


def load_without_weights():
    raise WeightsUnavailable("The weights are not here.")


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'ray\[default\]'"):
        scale.connect()


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="the optional package Ray is not installed")
    with pytest.raises(InputError, match="no Ray cluster"):
        scale.connect("127.0.0.1:1")
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
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
    filled = list(scale.fill_on_ray(workspace, partial(load, notes), iter(photos), total=30))
    assert sorted(f.path for f in filled) == sorted(photos)
    assert {f.outcome for f in filled} == {"drafted"}
    assert_each_once(workspace, photos)
    assert (count(notes, "loaded"), count(notes, "predicted")) == (2, 30)
    draft = filled[0].draft
    kept = workspace.draft(draft.image_digest, "dog")
    assert (kept.mask == draft.mask).all()
    assert kept.origin.supports == ("a" * 64,)


@slow
def test_a_worker_killed_half_way_costs_no_picture_and_none_is_stored_twice(ray, workspace, photos, notes):
    filled = list(scale.fill_on_ray(workspace, partial(load, notes, ("15.png",)), photos))
    assert count(notes, "died of") == 1
    assert sorted(f.path for f in filled) == sorted(photos)
    assert {f.outcome for f in filled} == {"drafted"}
    assert_each_once(workspace, photos)
    assert count(notes, "loaded") == 3


@slow
def test_a_picture_that_kills_every_worker_is_left_alone_and_only_that_one(ray, workspace, photos, notes):
    filled = list(scale.fill_on_ray(workspace, partial(load, notes, ("7.png",), always=True), photos))
    failed = [f for f in filled if f.outcome == "failed"]
    assert [f.path for f in failed] == [photos[7]]
    assert failed[0].message.startswith("3 workers died while they segmented '7.png'.")
    assert workspace.failures("dog") == [(photos[7], failed[0].message)]
    assert_each_once(workspace, photos[:7] + photos[8:])


@slow
def test_a_run_that_was_stopped_resumes(ray, workspace, photos, notes):
    photos[3].write_text("no picture")
    run = scale.fill_on_ray(workspace, partial(load, notes), photos)
    first = [next(run) for _ in range(10)]
    run.close()
    done = sum(f.outcome == "drafted" for f in first)
    filled = list(scale.fill_on_ray(workspace, partial(load, notes), photos))
    outcomes = [f.outcome for f in filled]
    assert (outcomes.count("kept"), outcomes.count("drafted")) == (done, 29 - done)
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
    for done, _ in enumerate(scale.fill_on_ray(workspace, partial(load, notes), paths()), start=1):
        ahead.append(read - done)
    assert max(ahead) <= 2 * scale.UNDER_WAY


@slow
def test_a_worker_without_weights_says_so_in_its_own_words(ray, workspace, photos):
    with pytest.raises(WeightsUnavailable, match=r"^The weights are not here\.$"):
        list(scale.fill_on_ray(workspace, load_without_weights, photos))


@slow
def test_a_cluster_without_room_is_told(ray, workspace, photos, notes):
    with pytest.raises(InputError, match="No worker of 1 processors and 1 GPUs could start"):
        list(scale.fill_on_ray(workspace, partial(load, notes), photos, workers=1, gpus=1, start_seconds=1))
