import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from lfss.compat import ensure_torchvision
from lfss.encoders import text
from lfss.encoders.templates import TEMPLATES
from lfss.encoders.text import TextEncoder

ensure_torchvision()
import open_clip  # noqa: E402

FEW = ("a photo of a {}.", "the {} in a video game.", "art of the {}.")


def build(seed: int = 0):
    torch.manual_seed(seed)
    config = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    clip = open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=config, quick_gelu=True)
    return clip.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip():
    return build()


@pytest.fixture(scope="module")
def tokenizer():
    return open_clip.get_tokenizer("RN50-quickgelu")


@pytest.fixture
def make(clip, tokenizer):
    def make(**options):
        return TextEncoder(
            options.pop("clip", clip), tokenizer, **({"dim": 24, "name": "tiny", "templates": FEW} | options)
        )

    return make


def test_the_templates_are_clips_80_and_five_about_the_scene():
    clips_own = {form("{}") for form in open_clip.OPENAI_IMAGENET_TEMPLATES}
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 85
    assert set(TEMPLATES[:80]) == clips_own
    assert all(t.count("{}") == 1 for t in TEMPLATES)
    assert all(t.endswith("in the scene.") for t in TEMPLATES[80:])


def test_a_phrase_is_the_mean_of_clips_own_embeddings(clip, tokenizer, make):
    phrases = ["dog", "traffic light", "Ωmega"]
    vectors = make()(phrases)
    for phrase, vector in zip(phrases, vectors):
        total = torch.zeros(24)
        for template in FEW:
            embedding = clip.encode_text(tokenizer([template.format(phrase)]))[0]
            total += embedding / embedding.norm()
        mean = total / len(FEW)
        torch.testing.assert_close(vector, mean / mean.norm(), rtol=1e-4, atol=1e-5)


def test_templates_in_any_order_or_twice_give_the_same_vector(make):
    once = make()(["dog"])
    torch.testing.assert_close(make(templates=FEW[::-1])(["dog"]), once)
    torch.testing.assert_close(make(templates=FEW + FEW)(["dog"]), once)


def test_phrases_do_not_influence_each_other(make):
    alone = make()(["dog"])
    together = make()(["a very long phrase about a thing with many words", "dog", "dog"])
    torch.testing.assert_close(together[1:], alone.expand(2, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("phrase", ["word " * 300, "狗" * 200, "🐕", "{} {0} {x!r}", "a\n\tb", ""])
def test_any_phrase_is_accepted(make, phrase):
    vector = make()([phrase])
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(1))


def test_no_phrase_gives_no_row(make):
    assert make()([]).shape == (0, 24)


def test_memory_is_bounded(make, monkeypatch):
    monkeypatch.setattr(text, "REMEMBERED", 2)
    encoder = make()
    encoder(["a", "b", "c"])
    assert list(encoder._memory) == ["b", "c"]


# --- on disk ------------------------------------------------------------------------------------


def never(*_):
    raise AssertionError("encoded again")


def test_a_phrase_is_encoded_once_in_a_process_and_once_on_a_machine(make, monkeypatch, tmp_path):
    first = make(cache_dir=tmp_path / "new" / "folder")
    vectors = first(["dog", "cat"])
    assert len(list((tmp_path / "new" / "folder").glob("*.safetensors"))) == 2
    second = make(cache_dir=tmp_path / "new" / "folder")
    for encoder in (first, second):
        monkeypatch.setattr(encoder, "_encode", never)
        assert torch.equal(encoder(["cat", "dog"]), vectors.flip(0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: save_file({"vector": torch.zeros(3)}, path),
        lambda path: save_file({"vector": torch.full((24,), float("nan"))}, path),
        lambda path: save_file({"other": torch.zeros(24)}, path),
    ],
    ids=["empty", "cut off", "another size", "not numbers", "another name"],
)
def test_a_damaged_entry_is_encoded_again_and_mended(make, tmp_path, damage):
    vectors = make(cache_dir=tmp_path)(["dog"])
    (path,) = tmp_path.iterdir()
    damage(path)
    assert torch.equal(make(cache_dir=tmp_path)(["dog"]), vectors)
    assert torch.equal(load_file(path)["vector"], vectors[0])
    assert list(tmp_path.iterdir()) == [path]


def test_other_weights_templates_or_towers_do_not_share_entries(make, tmp_path):
    variants = ({}, {"clip": build(seed=1)}, {"templates": FEW[:1]}, {"name": "other"})
    for options in variants:
        make(cache_dir=tmp_path, **options)(["dog"])
    assert len(list(tmp_path.iterdir())) == len(variants)


def test_a_folder_that_cannot_be_written_costs_only_time(make, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        assert torch.equal(make(cache_dir=blocked)(["dog"]), make()(["dog"]))
    assert "not kept" in caplog.text


def test_a_phrase_never_becomes_a_path(make, tmp_path):
    make(cache_dir=tmp_path / "cache")(["../../escape", "/etc/x"])
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    assert all(p.stem.isalnum() for p in (tmp_path / "cache").iterdir())
