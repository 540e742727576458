"""What is loaded under a name, and from where."""

from __future__ import annotations

import pytest
import torch

from lfss.encoders import backbone, talk2dino, vlm
from lfss.errors import InputError, UnknownName, WeightsUnavailable
from lfss.folder_pass import FolderConfig
from lfss.methods.lfss import LfssConfig
from lfss.methods.paia.config import PaiaConfig
from lfss.methods.tlg.config import TlgConfig
from lfss.presets import PRESETS, Preset, cache_folder, find_preset

HUB = [name for name, preset in PRESETS.items() if preset.local is None]


class Pinned(dict):
    """A commit for every repository."""

    def get(self, repository, default=None):
        return f"commit of {repository}"


@pytest.mark.parametrize("load", [backbone.load_backbone, vlm.load_clip, talk2dino.load_talk2dino])
def test_weights_are_asked_for_at_the_commit_that_is_pinned(load, monkeypatch):
    asked = []

    def find(repository, filename, *, revision=None, models_dir=None):
        asked.append((repository, revision))
        raise WeightsUnavailable("far enough")

    for module in (backbone, vlm, talk2dino):
        monkeypatch.setattr(module, "find_file", find)
    monkeypatch.setattr("open_clip.CLIP", lambda **config: torch.nn.Identity())  # takes seconds to build
    names = {"load_backbone": ["resnet50.tv_in1k"], "load_clip": ["RN50-quickgelu", "openai"]}
    with pytest.raises(WeightsUnavailable):
        load(*names.get(load.__name__, []), revisions=Pinned(any="x"))
    ((repository, revision),) = asked
    assert revision == f"commit of {repository}"


@pytest.mark.parametrize("name", HUB)
def test_a_preset_hands_the_commits_of_its_repositories_to_both_towers(name, monkeypatch):
    given = {}

    def loader(what, result):
        def load(*_, revisions=None, models_dir=None, **__):
            given[what] = revisions, models_dir
            return result

        return load

    towers = (object(), object(), object())
    monkeypatch.setattr(vlm, "load_vlm", loader("vlm", towers[0]))
    monkeypatch.setattr(backbone, "load_backbone", loader("backbone", towers[1]))
    monkeypatch.setattr(talk2dino, "load_talk2dino", loader("both", towers))
    monkeypatch.setattr("lfss.presets.guided", lambda *_: towers[2])
    loaded = PRESETS[name].load("cpu", "folder", revisions={"owner/name": "0123abc"})
    assert loaded[:2] == towers[:2]
    assert set(given) in ({"vlm", "backbone"}, {"both"})
    assert all(where == ({"owner/name": "0123abc"}, "folder") for where in given.values())


@pytest.mark.parametrize(
    ("config", "measured"),
    [
        (
            LfssConfig(),
            {"alpha": 0.5, "refine_temperature": 2.0, "seeds": 5, "window": 3, "sigma": 4.0, "radius": 2.0,
             "iterations": 5, "attention_temperature": 1.0, "cells": 16, "decoder_width": 256,
             "sharpness": 16.0, "text_limit": 6.0, "roi": 0.6},
        ),
        (PaiaConfig(), {"scale": 20.0, "sharpness": 10.0, "iterations": 3, "auxiliary_weight": 1.0}),
        (
            TlgConfig(),
            {"width": 128, "cells": 16, "tokens": 7, "heads": 8, "regularisation": 0.1, "sinkhorn_steps": 30},
        ),
        (
            FolderConfig(),
            {"pictures": 128, "grid": 16, "scale": 20.0, "share": 0.9, "limit": 6.0, "checked": 3,
             "agreement": 0.5},
        ),
        (
            PRESETS["mini"],
            {"size": 384, "presence_threshold": 0.1,
             "methods": {"lfss": LfssConfig(sharpness=16.0, text_limit=6.0, roi=2.0)}},
        ),
        (PRESETS["paper-rn50"], {"size": 400, "presence_threshold": 0.5}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numbers_are_those_that_the_published_figures_were_measured_with(config, measured):
    """Whoever changes one of them measures again, and says so."""
    assert {name: getattr(config, name) for name in measured} == measured


def test_a_method_gets_other_settings_and_weights_and_the_others_keep_theirs():
    preset = Preset(
        "a", "", "", load=PRESETS["mini"].load, weights_of={"x": "wx", "y": "wy"}, methods={"y": 1}
    )
    assert preset.with_method("x", 2).weights_of == {"y": "wy"}
    changed = preset.with_method("x", 2, weights="new")
    assert changed.weights_of == {"x": "new", "y": "wy"}
    assert changed.methods == {"x": 2, "y": 1}


def test_an_unknown_preset_is_told_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"'nonsense'.*mini, paper-rn50"):
        find_preset("nonsense")


@pytest.mark.parametrize(
    "name",
    [
        "os:getcwd",
        "no.such.module:preset",
        "tests.fakes:nothing",
        "tests.fakes:scene",
        ":preset",
        ".fakes:preset",
        "x:",
        "tests.fakes:STRIDE",
    ],
)
def test_a_preset_that_cannot_be_imported_is_an_error(name):
    with pytest.raises(InputError, match="preset"):
        find_preset(name)


def test_what_can_be_computed_again_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LFSS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("LFSS_CACHE", "")
    assert cache_folder().name == "lfss"


def test_every_preset_says_what_it_is():
    for name, record in PRESETS.items():
        assert record.name == name
        assert record.summary
        assert record.licence
        assert record.weights
