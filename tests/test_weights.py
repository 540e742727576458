import json
import socket
import threading
import time
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from torch import nn

from lfss import weights
from lfss.atomic import write_atomically
from lfss.errors import WeightsMismatch, WeightsUnavailable

REPO, FILE = "owner/name", "model.safetensors"


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    """No test sees this machine's models or cache, nor the network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("LFSS_MODELS", str(tmp_path / "models"))

    def blocked(*_, **__):
        raise OSError("sockets are blocked")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)


def put(path: Path, text: str = "here") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def put_in_cache(root: Path) -> Path:
    folder = root / "cache" / "models--owner--name"
    put(folder / "refs" / "main", "0" * 40)
    return put(folder / "snapshots" / ("0" * 40) / FILE)


def online(monkeypatch, download):
    monkeypatch.setattr(weights, "_why_no_hub", lambda: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_a_file_put_by_hand_comes_before_the_cache(tmp_path):
    cached, by_hand = put_in_cache(tmp_path), put(tmp_path / "models" / REPO / FILE)
    assert weights.find_file(REPO, FILE) == by_hand
    by_hand.unlink()
    assert weights.find_file(REPO, FILE) == cached


def test_the_given_folder_comes_before_the_environment(tmp_path):
    put(tmp_path / "models" / REPO / FILE)
    given = put(tmp_path / "given" / REPO / FILE)
    assert weights.find_file(REPO, FILE, models_dir=tmp_path / "given") == given


def test_the_models_folder_is_in_the_project_by_default(monkeypatch):
    monkeypatch.delenv("LFSS_MODELS")
    assert weights.models_folder() == Path(__file__).resolve().parents[1] / "assets" / "models"


def test_another_models_folder_does_not_hide_what_ships_with_the_project(tmp_path):
    about, _ = weights.load_model("edges")
    assert about
    put(tmp_path / "models" / "edges" / "config.json", "{")
    with pytest.raises(WeightsUnavailable, match="models"):  # one that was put there by hand comes first
        weights.load_model("edges")


def test_offline_the_error_names_repository_file_places_and_remedy_at_once(tmp_path):
    start = time.monotonic()
    with pytest.raises(WeightsUnavailable) as caught:
        weights.find_file(REPO, FILE)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    by_hand = tmp_path / "models" / REPO / FILE
    for part in (REPO, FILE, "put it at " + str(by_hand), str(tmp_path / "cache"), constants.ENDPOINT):
        assert part in message
    assert "cannot be reached" in message
    assert "\n" not in message


def test_a_name_server_that_never_answers_does_not_hang(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(20) and [])
    monkeypatch.setattr(weights, "PROBE_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(WeightsUnavailable, match="does not answer"):
        weights.find_file(REPO, FILE)
    released.set()
    assert time.monotonic() - start < 5


def test_hf_hub_offline_forbids_even_the_probe(monkeypatch):
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.append(1))
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE"):
        weights.find_file(REPO, FILE)
    assert not asked


def test_the_configured_endpoint_is_the_one_probed(monkeypatch):
    asked = []

    def look_up(host, *_, **__):
        asked.append(host if isinstance(host, str) else host.decode())
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example")
    with pytest.raises(WeightsUnavailable, match=r"https://mirror\.example cannot be reached"):
        weights.find_file(REPO, FILE)
    assert set(asked) == {"mirror.example"}


def test_online_the_file_is_downloaded_at_the_asked_revision(monkeypatch, tmp_path):
    calls = []

    def download(repo_id, filename, *, revision, etag_timeout):
        calls.append((repo_id, filename, revision))
        return str(tmp_path / "downloaded")

    online(monkeypatch, download)
    assert weights.find_file(REPO, FILE, revision="v1") == tmp_path / "downloaded"
    assert calls == [(REPO, FILE, "v1")]


def test_a_file_of_the_models_folder_pins_the_commits_of_repositories(monkeypatch, tmp_path):
    calls = []

    def download(repo_id, filename, *, revision, etag_timeout):
        calls.append(revision)
        return str(tmp_path / "downloaded")

    online(monkeypatch, download)
    pins = put(tmp_path / "models" / weights.REVISIONS)
    pins.write_text(json.dumps({REPO: "0123abc", "other/model": "ffff"}))
    weights.find_file(REPO, FILE)
    weights.find_file(REPO, FILE, revision="v1")
    weights.find_file("another/model", FILE)
    assert calls == ["0123abc", "v1", None]
    for bad in ("[", "[]", '{"a": 5}'):
        pins.write_text(bad)
        with pytest.raises(WeightsUnavailable, match=r"revisions\.json cannot be read"):
            weights.find_file(REPO, FILE)


def test_a_failed_download_says_why_and_where_to_put_the_file(monkeypatch):
    def download(*_, **__):
        raise RuntimeError("404: no such repository\nlong trace")

    online(monkeypatch, download)
    with pytest.raises(WeightsUnavailable, match=r"download failed: 404.*put it at") as caught:
        weights.find_file(REPO, FILE)
    assert "long trace" not in str(caught.value)


@pytest.mark.parametrize("repo_id", ["", "../../etc", "a/b/c", "owner/na me", "owner/..", "/etc/passwd"])
def test_a_name_that_is_no_repository_is_refused(repo_id):
    with pytest.raises(WeightsUnavailable, match="owner/name"):
        weights.find_file(repo_id, FILE)


@pytest.mark.parametrize("filename", ["", "../secret", "/etc/passwd", "a/../../b", "a\\..\\b"])
def test_a_file_name_cannot_leave_the_repository(filename):
    with pytest.raises(WeightsUnavailable, match="no file name"):
        weights.find_file(REPO, filename)


def test_a_saved_model_loads_again_bit_for_bit(tmp_path):
    network = nn.Linear(3, 2)
    config = {"name": "miniature", "größe": [1, 2]}
    folder = weights.save_model(tmp_path / "a" / "b", network.state_dict(), config)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    loaded_config, state = weights.load_model(folder)
    assert loaded_config == config
    other = nn.Linear(3, 2)
    weights.load_into(other, state)
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(other.bias, network.bias)


def test_a_model_in_the_models_folder_comes_before_a_folder_that_happens_to_be_here(tmp_path, monkeypatch):
    weights.save_model(tmp_path / "models" / "small", {"x": torch.ones(1)}, {"a": 1})
    weights.save_model(tmp_path / "here" / "small", {"x": torch.ones(1)}, {"a": 2})
    weights.save_model(tmp_path / "here" / "other", {"x": torch.ones(1)}, {"a": 3})
    monkeypatch.chdir(tmp_path / "here")
    assert weights.load_model("small")[0] == {"a": 1}
    assert weights.load_model("other")[0] == {"a": 3}


def test_a_model_loads_from_a_repository_put_by_hand(tmp_path):
    weights.save_model(tmp_path / "models" / REPO, {"x": torch.ones(1)}, {"a": 2})
    assert weights.load_model(REPO)[0] == {"a": 2}


def test_both_files_of_a_model_on_the_hub_are_downloaded(tmp_path, monkeypatch):
    made, asked = weights.save_model(tmp_path / "made", {"x": torch.ones(2)}, {"a": 1}), []

    def download(repo_id, filename, *, revision, etag_timeout):
        asked.append((repo_id, filename, revision))
        return str(made / filename)

    online(monkeypatch, download)
    config, state = weights.load_model(REPO, revision="v1")
    assert config["a"] == 1
    assert torch.equal(state["x"], torch.ones(2))
    assert asked == [(REPO, weights.CONFIG, "v1"), (REPO, weights.WEIGHTS, "v1")]


def test_tied_and_transposed_tensors_are_saved(tmp_path):
    x = torch.arange(6.0).view(2, 3)
    folder = weights.save_model(tmp_path / "tied", {"x": x, "same": x, "turned": x.T}, {})
    _, state = weights.load_model(folder)
    assert torch.equal(state["same"], x)
    assert torch.equal(state["turned"], x.T)


def test_an_interrupted_save_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    folder = weights.save_model(tmp_path / "model", {"x": torch.ones(1)}, {"a": 1})
    before = (folder / weights.WEIGHTS).read_bytes()

    def fail(path):
        path.write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(folder / weights.WEIGHTS, fail)
    assert (folder / weights.WEIGHTS).read_bytes() == before
    assert len(list(folder.iterdir())) == 2


def test_a_model_that_is_nowhere_lists_the_places(tmp_path):
    with pytest.raises(WeightsUnavailable, match="no model 'absent'") as caught:
        weights.load_model("absent")
    assert str(tmp_path / "models" / "absent") in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{", "[]", "\x00\xff", pytest.param("{}" + " " * (1 << 20), id="more than 1 MB")]
)
def test_a_damaged_config_is_one_clear_error(tmp_path, text):
    folder = weights.save_model(tmp_path / "model", {"x": torch.ones(1)}, {})
    (folder / weights.CONFIG).write_text(text, encoding="latin-1")
    with pytest.raises(WeightsUnavailable, match="Get the model again"):
        weights.load_model(folder)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x02}q\x00."]
)
def test_a_cut_off_pointer_or_pickle_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="safetensors"):
        weights.read_state(path)


def test_a_state_that_does_not_fit_is_refused_whole_and_its_keys_are_listed():
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = {k: torch.zeros_like(v) for k, v in before.items()} | {"9.weight": torch.zeros(1)}
    del state["1.bias"]
    state["0.weight"] = torch.zeros(2, 4)
    with pytest.raises(WeightsMismatch) as caught:
        weights.load_into(network, state, source="some/file")
    message = str(caught.value)
    for part in ("some/file", "missing: 1.bias", "unexpected: 9.weight", "0.weight (2, 4) instead of (2, 3)"):
        assert part in message
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_full_disk_is_an_os_error_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        weights.save_model(tmp_path / "model", {"x": torch.ones(1)}, {})
    assert not list((tmp_path / "model").iterdir())


def test_a_long_list_of_keys_is_cut():
    with pytest.raises(WeightsMismatch, match="and 14 more"):
        weights.load_into(nn.Sequential(*(nn.Linear(1, 1) for _ in range(10))), {})
