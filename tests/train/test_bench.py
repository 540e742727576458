"""The benchmark runs, counts and prints; what it times is the machine's affair."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from lfss.errors import InputError
from lfss.methods.lfss import LfssConfig
from lfss.predictor import Predictor
from lfss.presets import PRESETS
from lfss.support import Support
from tests.fakes import preset
from train import bench
from train.measure import stopwatch


@pytest.fixture(scope="module")
def report() -> dict:
    return bench.measure("tests.fakes:preset", repeat=2, shots=2, queries=6, large=2)


def steps_of(stages: dict) -> list[str]:
    """The names of the method's own steps."""
    return [name for name in stages if name.startswith(bench.STEP)]


def test_supports_are_encoded_once_and_every_query_once(report):
    assert report["pictures encoded"] == {"for 2 supports": 2, "for 6 queries": 6}


def test_every_stage_has_a_time_and_they_add_up(report):
    stages = dict(report["stages"])
    assert len(steps_of(stages)) == 5
    assert all(seconds >= 0 for seconds in stages.values())
    whole = stages.pop("query")
    assert sum(stages.values()) == pytest.approx(whole, rel=0.5)  # medians of parts and of their sum


def test_the_share_of_maps_counts_all_five_steps(report):
    parts = [report["ratios"][f"{name} / encoders"] for name in steps_of(report["stages"])]
    assert report["ratios"]["maps / encoders"] >= max(parts) > 0


def test_memory_is_read_after_five_queries_and_at_the_end(report):
    assert list(report["memory"]) == ["after 5 queries", "after 6 queries"]
    assert all(mib > 10 for mib in report["memory"].values())


def test_a_report_is_printed_for_people_and_for_machines(report, capsys):
    assert json.loads(json.dumps(report)) == report
    text = bench.as_text(report)
    assert "maps / encoders" in text
    assert "at most 10%" in text
    assert "2 megapixels" in text
    threads = torch.get_num_threads()
    assert bench.main(["--preset", "no-such-preset", "--threads", str(threads)]) == 2
    assert "Known: mini" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_picture():
    assert bench.picture(30, 40, seed=1).digest == bench.picture(30, 40, seed=1).digest
    assert bench.picture(30, 40, seed=1).digest != bench.picture(30, 40, seed=2).digest


def test_the_decoders_network_is_timed_apart():
    portable = preset().with_method("lfss", LfssConfig(decoder="portable"))
    predictor = Predictor.load(portable, device="cpu")
    clock = stopwatch.CLOCKS["wall"]
    meters = stopwatch.watch_encoders(predictor, clock), stopwatch.watch_decoder(predictor, clock)
    prepared = predictor.prepare(bench.Label("red"), [Support(bench.picture(64, 64))])
    file = bench.cv2.imencode(".png", bench.picture(64, 64).pixels)[1].tobytes()
    times = bench.time_query(predictor, prepared, file, encoders=meters[0], decoder=meters[1])
    assert times["decoder network"] > 0
    assert times[f"{bench.STEP}prediction"] >= 0


def test_only_open_clip_and_timm_presets_can_be_without_weights():
    assert isinstance(PRESETS["paper-rn50"].load, partial)
    assert bench.without_weights(PRESETS["paper-rn50"]).name == "paper-rn50"
    with pytest.raises(InputError, match="'fake' cannot be built without weights"):
        bench.without_weights(preset())
