"""A predictor without weights, and classes that it has prepared."""

from __future__ import annotations

import pytest
from rectangles import picture

from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.support import Support


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", device="cpu")


@pytest.fixture(scope="session")
def red(predictor) -> Prepared:
    return predictor.prepare(parse_label("red"), [Support(picture())])


@pytest.fixture(scope="session")
def blue(predictor) -> Prepared:
    return predictor.prepare(parse_label("blue"), [Support(picture("blue"))])
