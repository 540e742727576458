from __future__ import annotations

import threading

import numpy as np
import pytest

from demo.service import Service, class_key
from lfss.errors import InputError, UnknownName
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.stages import Prediction
from lfss.support import Support
from tests.fakes import scene

RED = parse_label("red")


def a_support(seed: int = 1) -> Support:
    return Support(read_image(scene(seed=seed)))


def run(service: Service, prepared, query, **options) -> Prediction:
    *_, last = service.segment(prepared, query, **options)
    assert isinstance(last, Prediction)
    return last


def test_segment_equals_predict(service):
    prepared = service.prepare(RED, [a_support()])
    query = read_image(scene(seed=3, box=(20, 30, 150, 200)))
    expected = service.predictor().predict(prepared, query)
    found = run(service, prepared, query)
    assert np.array_equal(found.mask, expected.mask)
    assert [s.key for s in found.stages] == [s.key for s in expected.stages]


def test_the_lock_is_free_while_a_reader_holds_a_stage(service):
    prepared = service.prepare(RED, [a_support()])
    slow = service.segment(prepared, read_image(scene(seed=3)))
    next(slow)
    done = threading.Event()
    other = threading.Thread(
        target=lambda: (run(service, prepared, read_image(scene(seed=4))), done.set()), daemon=True
    )
    other.start()
    assert done.wait(20)


def test_a_cancelled_run_stops_without_a_prediction(service):
    prepared = service.prepare(RED, [a_support()])
    stop = threading.Event()
    seen = []
    for stage in service.segment(prepared, read_image(scene(seed=3)), cancelled=stop.is_set):
        seen.append(stage)
        stop.set()
    assert len(seen) == 1


def test_two_runs_interleaved_over_threads_keep_their_own_results(service):
    queries = [read_image(scene(seed=s, box=(20 + s * 10, 20, 120 + s * 10, 150 + s * 10))) for s in range(4)]
    prepared = service.prepare(RED, [a_support()])
    expected = [service.predictor().predict(prepared, q).mask for q in queries]
    found: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        found[i] = run(service, prepared, queries[i]).mask

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(found[i], expected[i]) for i in range(4))


def test_the_same_class_is_encoded_once(service):
    assert service.prepare(RED, [a_support()]) is service.prepare(RED, [a_support()])


def test_marks_make_another_class():
    plain = a_support()
    marked = Support.from_box(plain.image, (80, 60, 220, 180))
    keys = {
        class_key("p", RED, [plain]),
        class_key("p", RED, [marked]),
        class_key("q", RED, [plain]),
        class_key("p", parse_label("red", not_words="blue"), [plain]),
    }
    assert len(keys) == 4


def test_prepared_classes_stay_within_their_bytes(service):
    one = service.prepare(RED, [a_support(1)]).nbytes
    small = Service("tests.fakes:preset", device="cpu", cache_bytes=int(2.5 * one))
    for seed in range(1, 6):
        small.prepare(RED, [a_support(seed)])
    assert len(small._prepared) == 2


def test_a_missing_preset_is_told_in_one_sentence():
    service = Service("no-such-preset")
    with pytest.raises(UnknownName, match="Known: mini"):
        service.predictor()
    assert "no-such-preset" in service.problem


def test_unknown_words_are_told(service):
    assert service.unknown_words(["red"]) == {}  # not loaded yet: nothing is claimed
    service.predictor()
    assert service.unknown_words(["red", "dog"]) == {"dog": ()}


def test_a_saved_class_is_used_again(service, tmp_path):
    prepared = service.prepare(RED, [a_support()])
    again = service.load_class(prepared.save(tmp_path / "red.safetensors"))
    query = read_image(scene(seed=3))
    assert np.array_equal(run(service, again, query).mask, run(service, prepared, query).mask)


def test_a_file_that_is_no_class_is_refused(service, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a class")
    with pytest.raises(InputError, match="is not a class saved by this program"):
        service.load_class(path)
