"""On a Space that lends its GPU for each call, whatever runs the model asks for it."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

import demo.gpu
import demo.model
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.stages import Prediction
from lfss.support import Support
from tests.fakes import scene


def copy_of(name: str) -> ModuleType:
    """A module of demo, imported again."""
    path = Path(demo.model.__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"demo._{name}_again", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lent(calls: list[str]):
    """Like ``spaces.GPU``: arguments and results cross over to another process and back."""

    def gpu(duration: int = 0):
        def decorate(function):
            def call(*args):
                calls.append(function.__name__)
                answer = function(*pickle.loads(pickle.dumps(args)))
                if inspect.isgenerator(answer):
                    return (pickle.loads(pickle.dumps(step)) for step in answer)
                return pickle.loads(pickle.dumps(answer))

            return call

        return decorate

    return gpu


def test_elsewhere_functions_stay_as_they_are():
    assert not demo.gpu.ON_ZEROGPU
    assert demo.gpu.with_gpu(scene) is scene


def test_every_function_that_runs_the_model_asks_for_the_gpu(service, monkeypatch):
    calls: list[str] = []
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lent(calls)))
    gpu = copy_of("gpu")
    assert gpu.ON_ZEROGPU
    monkeypatch.setitem(sys.modules, "demo.gpu", gpu)
    again = copy_of("model")
    query, support = read_image(scene(seed=3)), Support(read_image(scene(seed=1)))
    expected = service.predictor().predict(service.prepare(parse_label("red"), [support]), query)
    again._predictors[service._number] = service.predictor()
    monkeypatch.setattr("demo.service.model", again)
    prepared = service.prepare(parse_label("red, green"), [support])
    service.look_at_supports(prepared)
    *_, found = service.segment(prepared, query)
    assert isinstance(found, Prediction)
    assert np.array_equal(found.mask, expected.mask)
    assert calls == ["prepare", "look", "steps"]
    # The embedded model gains nothing from a GPU that must be waited for; the others do.
    assert gpu.device_for("mini", "auto") == "cpu"
    list(service.segment(prepared, query))
    assert calls == ["prepare", "look", "steps"]
    assert gpu.device_for("vit", "auto") == "auto"
    list(service.segment(prepared, query))
    assert calls == ["prepare", "look", "steps", "steps"]


def test_a_gpu_is_asked_for_briefly(monkeypatch):
    asked: list[int] = []
    monkeypatch.setitem(
        sys.modules, "spaces", SimpleNamespace(GPU=lambda duration: asked.append(duration) or (lambda f: f))
    )
    copy_of("gpu").with_gpu(scene)
    assert 0 < asked[0] <= 20
