"""How one episode of a decoder's training is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tiny_sets import CAT, write_voc

from lfss.methods.lfss import LfssConfig
from lfss.predictor import Predictor
from lfss.presets import find_preset
from train.data.datasets import open_data
from train.data.episodes import sample_episodes
from train.maps import Task, mark_unknown_words, run_task


def test_an_unknown_word_whose_object_fills_its_support_gets_a_mask(tmp_path: Path) -> None:
    """A box around the whole picture would say nothing, and the word says nothing either."""
    root = write_voc(tmp_path / "voc", {"train": [{CAT: (0, 0, 96, 96)}] * 2})
    data = open_data(root, "voc", split="train", cache=tmp_path / "cache")
    preset = find_preset("tests.fakes:preset")
    keeping = preset.with_method("lfss", replace(preset.methods.get("lfss", LfssConfig()), keep_maps=True))
    predictor = Predictor.load(keeping, device="cpu")
    (spec,) = sample_episodes(data, ["cat"], shots=1, count=1, seed=0).episodes
    (task,) = mark_unknown_words([Task(0, spec, "label", word=True)], predictor)
    assert task.kind == "box"
    tensors, query = run_task(task, data, predictor)
    assert query.mask.all()
    assert tensors["training_free"].isfinite().all()
