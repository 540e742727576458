"""What a workspace keeps, how it answers, and what it refuses."""

from __future__ import annotations

import ast
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import ORIGIN, a_draft, digest_of, smooth_scores, write_photo

import lfss.storage
import lfss.workspace
from lfss.doubt import doubt_of
from lfss.errors import ImageError, InputError, LabelError, SupportError, UnknownName, WorkspaceError
from lfss.images import read_image
from lfss.labels import Label
from lfss.storage import history
from lfss.workspace import DATABASE_NAME, Workspace

ROOT = Path(__file__).parents[1]


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "ws") as opened:
        yield opened


def reopened(workspace: Workspace) -> Workspace:
    workspace.close()
    return Workspace.open(workspace.folder, create=False)


def add_labels(workspace: Workspace, *names: str) -> None:
    for name in names:
        workspace.add_label(name)


def same(one, other) -> bool:
    """Whether two drafts agree in every field."""
    fields = [f for f in one.__dataclass_fields__ if f != "mask"]
    return (one.mask == other.mask).all() and all(getattr(one, f) == getattr(other, f) for f in fields)


def test_neither_torch_nor_gradio_is_imported_for_a_workspace():
    files = [
        file for package in (lfss.workspace, lfss.storage) for file in Path(package.__path__[0]).glob("*.py")
    ]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"torch", "gradio", "lightning", "matplotlib"}


def test_a_workspace_opens_without_loading_torch():
    modules = "lfss.workspace, lfss.batch.drafts, lfss.batch.on_ray"
    heavy = "{'torch', 'gradio', 'matplotlib', 'ray'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


# Drafts


def test_a_draft_comes_back_as_it_was_also_after_a_restart(workspace):
    draft = a_draft(1, size=(61, 83))
    assert workspace.put_draft(draft, smooth_scores(61, 83, seed=1))
    assert same(workspace.draft(draft.image_digest, "dog"), draft)
    assert same(reopened(workspace).draft(draft.image_digest, "dog"), draft)


def test_a_draft_that_is_not_there_is_none(workspace):
    workspace.add_label("dog")
    assert workspace.draft(digest_of(1), "dog") is None
    assert not workspace.has_draft(digest_of(1), "dog")
    assert not workspace.has_draft(digest_of(1), "a label nobody added")


def test_drafts_are_listed_by_label_and_state(workspace):
    for n in range(5):
        workspace.put_draft(a_draft(n))
    workspace.put_draft(a_draft(2, "cat"))
    workspace.set_status([digest_of(1), digest_of(3)], "dog", "accepted")
    assert [d.image_digest for d in workspace.drafts("dog", "accepted")] == [digest_of(1), digest_of(3)]
    assert [d.label for d in workspace.drafts()] == ["dog", "dog", "dog", "cat", "dog", "dog"]
    assert len(workspace.drafts("dog", ["accepted", "proposed"])) == 5
    assert workspace.stats().drafts == {"dog": {"proposed": 3, "accepted": 2}, "cat": {"proposed": 1}}


def test_drafts_of_several_labels_come_one_label_after_the_other(workspace):
    add_labels(workspace, "cat", "Dog", "cow")
    for n in range(3):
        for label in ("cow", "Dog", "cat"):
            workspace.put_draft(a_draft(n, label))
    found = workspace.drafts(["DOG", "cat"], order="label")
    assert [(d.label, d.image_digest) for d in found] == [
        (label, digest_of(n)) for label in ("cat", "Dog") for n in range(3)
    ]
    assert len(workspace.drafts([], order="label")) == 0
    with pytest.raises(UnknownName, match="hen"):
        workspace.drafts(["cat", "hen"])


def test_a_list_of_drafts_can_be_walked_twice_and_sliced(workspace):
    for n in range(130):
        workspace.put_draft(a_draft(n, size=(8, 8)))
    drafts = workspace.drafts()
    names = [f"photo {n}.jpg" for n in range(130)]
    assert [d.image_name for d in drafts] == names
    assert [d.image_name for d in drafts] == names
    assert [d.image_name for d in drafts[60:70]] == names[60:70]
    assert drafts[-1].image_name == names[-1]
    with pytest.raises(IndexError):
        drafts[130]


def test_the_most_doubtful_draft_comes_first_and_one_without_a_score_before_it(workspace):
    for n, doubt in [(0, 0.1), (1, 0.6), (3, 0.9), (4, 0.3)]:
        workspace.put_draft(a_draft(n, score=0.9, doubt=doubt))
    workspace.put_draft(a_draft(2, score=None, doubt=None))
    workspace.put_draft(a_draft(5, score=0.5, doubt=None))  # of another program: 1 - score
    workspace.put_draft(a_draft(6, score=0.8, doubt=0.3))
    rows = workspace.overview("dog", order="doubt")
    assert [row.name for row in rows] == [f"photo {n}.jpg" for n in (2, 3, 1, 5, 6, 4, 0)]
    assert [row.doubt for row in rows] == [None, 0.9, 0.6, 0.5, 0.3, 0.3, 0.1]
    assert [d.image_name for d in reopened(workspace).drafts(order="doubt")] == [row.name for row in rows]


def test_doubt_follows_the_threshold_and_stays_with_a_decision(workspace):
    key, scores = (digest_of(1), "dog"), smooth_scores(60, 80, 1)
    workspace.put_draft(a_draft(1, doubt=0.123), scores)
    workspace.rethreshold("dog", 0.7)
    assert workspace.draft(*key).doubt == pytest.approx(doubt_of(scores, 0.7), abs=0.02)
    workspace.set_status(*key, "accepted")
    assert workspace.draft(*key).doubt == pytest.approx(doubt_of(scores, 0.7), abs=0.02)
    workspace.set_status(*key, "proposed")
    workspace.rethreshold("dog", 0.5)
    assert workspace.draft(*key).doubt == 0.123


def test_a_draft_knows_what_it_lost_to_which_label(workspace):
    workspace.put_draft(a_draft(1, lost={"cat": 0.25, "собака": 0.5}))
    assert workspace.draft(digest_of(1), "dog").lost == {"cat": 0.25, "собака": 0.5}
    assert workspace.overview()[0].lost == {"cat": 0.25, "собака": 0.5}
    workspace.put_draft(a_draft(2))
    assert workspace.overview()[1].lost == {}


def test_a_row_tells_who_made_the_mask(workspace):
    workspace.put_draft(a_draft(1))
    (row,) = workspace.overview()
    assert (row.model, row.threshold, row.status, row.path) == ("fake 1.0", 0.5, "proposed", None)


def test_a_list_says_so_when_a_draft_was_removed_meanwhile(workspace):
    workspace.put_draft(a_draft(1))
    drafts = workspace.drafts()
    with closing(sqlite3.connect(workspace.folder / DATABASE_NAME)) as other, other:
        other.execute("PRAGMA foreign_keys = ON")
        other.execute("DELETE FROM labels WHERE name='dog'")
    with pytest.raises(WorkspaceError, match="removed"):
        list(drafts)


def test_a_proposal_never_replaces_what_a_person_decided(workspace):
    for n, status in enumerate(["accepted", "rejected", "edited", "absent"]):
        workspace.put_draft(a_draft(n))
        workspace.set_status(digest_of(n), "dog", status)
        assert not workspace.put_draft(a_draft(n, score=0.1))
        assert workspace.draft(digest_of(n), "dog").status == status


def test_a_new_proposal_replaces_an_earlier_one_unless_told_not_to(workspace):
    workspace.put_draft(a_draft(1))
    assert not workspace.put_draft(a_draft(1, score=0.2), overwrite=False)
    assert workspace.put_draft(a_draft(1, score=0.1))
    assert workspace.draft(digest_of(1), "dog").score == 0.1
    assert workspace.undo(digest_of(1), "dog").score == a_draft(1).score


def test_the_same_draft_again_does_not_lengthen_the_history(workspace):
    key = (digest_of(1), "dog")
    assert workspace.put_draft(a_draft(1))
    assert workspace.put_draft(a_draft(1))
    assert len(workspace.history(*key)) == 1
    assert workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))  # now with its map
    assert workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))
    assert len(workspace.history(*key)) == 2
    assert workspace.rethreshold("dog", 0.7) == 1


def test_a_mask_of_another_size_than_its_picture_is_refused(workspace):
    workspace.put_draft(a_draft(1, size=(60, 80)))
    with pytest.raises(InputError, match="80 x 60, its picture is 60 x 80"):
        workspace.put_draft(a_draft(1, "cat", mask=np.zeros((80, 60), bool)))
    with pytest.raises(InputError, match="own size"):
        workspace.edit_mask(digest_of(1), "dog", np.zeros((80, 60), bool))
    assert workspace.stats().drafts == {"dog": {"proposed": 1}}


def test_what_is_put_in_is_not_changed(workspace):
    draft, scores = a_draft(1), smooth_scores(60, 80, 1)
    mask, before = draft.mask.copy(), scores.copy()
    workspace.put_draft(draft, scores)
    workspace.rethreshold("dog", 0.7)
    assert (draft.mask == mask).all()
    assert (scores == before).all()


# Review, undo, redo


def test_every_change_can_be_undone_and_done_again_after_a_restart(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    hand = np.zeros((60, 80), bool)
    hand[10:20, 10:30] = True
    workspace.edit_mask(*key, hand)
    workspace.set_status(*key, "accepted")

    workspace = reopened(workspace)
    assert [c.action for c in workspace.history(*key)] == ["proposed", "edited", "accepted"]
    assert workspace.undo(*key).status == "edited"
    back = workspace.undo(*key)
    assert same(back, a_draft(1))
    assert workspace.undo(*key) is None

    workspace = reopened(workspace)
    assert [c.current for c in workspace.history(*key)] == [True, False, False]
    assert (workspace.redo(*key).mask == hand).all()
    assert workspace.redo(*key).status == "accepted"
    assert workspace.redo(*key) is None


def test_a_change_after_an_undo_drops_what_was_undone(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    workspace.set_status(*key, "accepted")
    workspace.undo(*key)
    workspace.set_status(*key, "rejected")
    assert workspace.redo(*key) is None
    assert [c.action for c in workspace.history(*key)] == ["proposed", "rejected"]


def test_undo_and_redo_agree_with_a_plain_list_of_states(workspace):
    rng = np.random.default_rng(7)
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    states, at = [("proposed", a_draft(1).mask)], 0
    for _ in range(60):
        what = rng.integers(4)
        if what == 0:
            mask = rng.random((60, 80)) < 0.2
            workspace.edit_mask(*key, mask)
            states, at = [*states[: at + 1], ("edited", mask)], at + 1
        elif what == 1 and states[at][0] != "accepted":
            workspace.set_status(*key, "accepted")
            states, at = [*states[: at + 1], ("accepted", states[at][1])], at + 1
        elif what == 2:
            assert (workspace.undo(*key) is None) == (at == 0)
            at = max(0, at - 1)
        elif what == 3:
            assert (workspace.redo(*key) is None) == (at == len(states) - 1)
            at = min(len(states) - 1, at + 1)
        now = workspace.draft(*key)
        assert now.status == states[at][0]
        assert (now.mask == states[at][1]).all()
    assert workspace.check() == []


def test_history_is_bounded_in_length_and_in_bytes(workspace, monkeypatch):
    key = (digest_of(1), "dog")
    rng = np.random.default_rng(3)
    workspace.put_draft(a_draft(1))
    monkeypatch.setattr(history, "MAX_REVISIONS", 8)
    for n in range(20):
        workspace.edit_mask(*key, np.indices((60, 80))[0] < n)
    assert len(workspace.history(*key)) == 8
    monkeypatch.setattr(history, "MAX_BYTES", 3000)  # five masks of noise take 5 x 0.6 kB
    for _ in range(20):
        workspace.edit_mask(*key, rng.random((60, 80)) < 0.5)
    assert 2 <= len(workspace.history(*key)) < 7
    with workspace._database.reading() as connection:
        kept = connection.execute("SELECT count(*), sum(length(data)) FROM masks").fetchone()
    assert kept[1] <= 3000
    assert workspace.check() == []


def test_states_that_share_a_mask_store_it_once(workspace):
    workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))
    for status in ("accepted", "rejected", "proposed", "accepted"):
        workspace.set_status(digest_of(1), "dog", status)
    with workspace._database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM masks").fetchone()[0] == 1


def test_absent_empties_the_mask_and_undo_brings_it_back(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    workspace.set_status(*key, "absent")
    gone = workspace.draft(*key)
    assert gone.empty
    assert not gone.mask.any()
    assert (workspace.undo(*key).mask == a_draft(1).mask).all()


def test_absent_may_be_said_of_a_picture_without_a_draft(workspace, tmp_path):
    picture = workspace.add_image(write_photo(tmp_path / "a.png"))
    workspace.add_label("dog")
    assert workspace.set_status(picture.digest, "dog", "absent") == 1
    assert workspace.draft(picture.digest, "dog").origin.model == "person"
    workspace.add_label("cat")
    with pytest.raises(WorkspaceError, match=r"'a.png' has no draft of 'cat'"):
        workspace.set_status(picture.digest, "cat", "accepted")


def test_many_states_change_together_or_not_at_all(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    with pytest.raises(WorkspaceError, match="no picture"):
        workspace.set_status([digest_of(0), digest_of(1), digest_of(99)], "dog", "accepted")
    assert workspace.stats().drafts == {"dog": {"proposed": 3}}
    assert workspace.set_status(map(digest_of, range(3)), "dog", "accepted") == 3
    assert workspace.set_status(map(digest_of, range(3)), "dog", "accepted") == 0


def test_a_mask_drawn_without_a_model_starts_a_draft(workspace, tmp_path):
    picture = workspace.add_image(write_photo(tmp_path / "a.png"))
    workspace.add_label("dog")
    drawn = workspace.edit_mask(picture.digest, "dog", np.eye(60, 80, dtype=bool))
    assert (drawn.status, drawn.score, drawn.origin.model) == ("edited", None, "person")
    assert workspace.rethreshold("dog", 0.4) == 0


# Thresholds


def test_a_new_threshold_needs_no_model(workspace):
    scores = smooth_scores(300, 400, 1)
    workspace.put_draft(a_draft(1, size=(300, 400)), scores)
    assert workspace.rethreshold("dog", 0.65) == 1
    now = workspace.draft(digest_of(1), "dog")
    full = scores >= 0.65
    assert (now.mask & full).sum() / (now.mask | full).sum() > 0.98
    assert now.origin.threshold == 0.65
    assert now.score == pytest.approx(scores[full].mean(), abs=0.01)
    assert [c.action for c in workspace.history(digest_of(1), "dog")] == ["proposed", "threshold 0.65"]


def test_the_models_own_threshold_gives_back_its_own_mask_bit_for_bit(workspace):
    snapped = a_draft(1).mask ^ (np.random.default_rng(0).random((60, 80)) < 0.05)
    workspace.put_draft(a_draft(1, mask=snapped), smooth_scores(60, 80, 1))
    workspace.rethreshold("dog", 0.3)
    assert (workspace.draft(digest_of(1), "dog").mask != snapped).any()
    workspace.rethreshold("dog", 0.5)
    assert same(workspace.draft(digest_of(1), "dog"), a_draft(1, mask=snapped))


def test_a_new_threshold_leaves_decided_drafts_alone(workspace):
    for n in range(40):
        workspace.put_draft(a_draft(n, size=(8, 8)), smooth_scores(8, 8, n))
    workspace.set_status(digest_of(3), "dog", "accepted")
    workspace.put_draft(a_draft(50, size=(8, 8)))  # no map
    seen = []
    assert workspace.rethreshold("dog", 0.4, on_progress=lambda *now: seen.append(now)) == 39
    assert seen[-1] == (40, 40)
    assert workspace.draft(digest_of(3), "dog").origin.threshold == 0.5
    assert workspace.rethreshold("dog", 0.6, digests=[digest_of(4), digest_of(5)]) == 2
    assert workspace.rethreshold("dog", 0.6, digests=[digest_of(4), digest_of(5)]) == 0


def test_a_mask_left_empty_for_absence_stays_so_until_presence_is_decided_anew(workspace):
    scores = smooth_scores(60, 80, 1)
    nothing = np.zeros((60, 80), bool)
    workspace.put_draft(a_draft(1, mask=nothing, presence=0.4, score=0.6), scores)
    workspace.rethreshold("dog", 0.3)
    assert not workspace.draft(digest_of(1), "dog").mask.any()
    workspace.rethreshold("dog", 0.6, presence=0.35)
    assert workspace.draft(digest_of(1), "dog").mask.any()
    workspace.rethreshold("dog", 0.6, presence=0.45)
    assert not workspace.draft(digest_of(1), "dog").mask.any()
    assert workspace.draft(digest_of(1), "dog").score == 0.6


def test_a_threshold_outside_of_0_to_1_is_refused(workspace):
    workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))
    with pytest.raises(InputError, match="between 0 and 1"):
        workspace.rethreshold("dog", 50)


# Labels


def test_labels_keep_words_colour_and_order(workspace):
    dog = workspace.add_label(Label("dog", ("puppy",), ("cat", "wolf")))
    add_labels(workspace, "sky", "tree")
    kept = reopened(workspace).labels()
    assert kept[0] == dog
    assert [c.name for c in kept] == ["dog", "sky", "tree"]
    assert [c.priority for c in kept] == [1, 2, 3]


def test_a_hundred_labels_have_a_hundred_colours_and_none_is_black(workspace):
    colours = {workspace.add_label(f"thing {n}").colour for n in range(100)}
    assert len(colours) == 100
    assert "#000000" not in colours


def test_a_renamed_label_keeps_its_drafts_supports_and_words(workspace):
    workspace.add_label(Label("dog", ("puppy",)))
    workspace.put_draft(a_draft(1))
    workspace.add_support("dog", digest_of(1))
    workspace.rename_label("dog", "hound")
    assert workspace.draft(digest_of(1), "hound").label == "hound"
    assert workspace.labels()[0].label == Label("hound", ("puppy",))
    assert len(workspace.supports("hound")) == 1
    with pytest.raises(UnknownName, match="Known: hound"):
        workspace.draft(digest_of(1), "dog")


@pytest.mark.parametrize("taken", ["cat", "CAT", "cafe\u0301"])
def test_a_label_is_not_renamed_to_an_existing_one(workspace, taken):
    add_labels(workspace, "dog", "cat", "café")
    workspace.put_draft(a_draft(1))
    with pytest.raises(WorkspaceError, match=r"'dog' cannot be renamed .* there already.*nothing was"):
        workspace.rename_label("dog", taken)
    assert workspace.draft(digest_of(1), "dog") is not None


def test_a_label_may_be_renamed_to_another_spelling_of_itself(workspace):
    workspace.add_label("dog")
    workspace.rename_label("dog", "Dog")
    assert [c.name for c in workspace.labels()] == ["Dog"]


def test_two_labels_never_share_a_colour(workspace):
    workspace.add_label("dog", colour="#FF0000")
    with pytest.raises(WorkspaceError, match="share the colour #ff0000"):
        workspace.add_label("cat", colour="#ff0000")
    assert workspace.add_label("cat").colour != "#ff0000"
    assert workspace.labels()[0].colour == "#ff0000"


@pytest.mark.parametrize("colour", ["red", "#12345", "#000000"])
def test_what_is_no_colour_is_refused(workspace, colour):
    with pytest.raises(InputError, match="#rrggbb"):
        workspace.add_label("dog", colour=colour)


def test_a_label_without_a_name_is_refused(workspace):
    with pytest.raises(LabelError, match="needs a name"):
        workspace.add_label("  ")


# Pictures and supports


def test_a_picture_is_known_by_its_pixels_in_whatever_file(workspace, tmp_path):
    first = workspace.add_image(write_photo(tmp_path / "one" / "a.png", 1))
    second = workspace.add_image(write_photo(tmp_path / "two" / "b.png", 1))
    assert first.digest == second.digest
    assert len(list(workspace.images())) == 1
    assert workspace.image(first.digest).path == tmp_path / "two" / "b.png"
    assert workspace.find_image(tmp_path / "one" / "a.png").digest == first.digest
    (tmp_path / "two" / "b.png").unlink()
    assert workspace.image_path(first.digest) == tmp_path / "one" / "a.png"


def test_equal_names_in_two_folders_are_two_pictures(workspace, tmp_path):
    workspace.add_image(write_photo(tmp_path / "one" / "a.png", 1))
    workspace.add_image(write_photo(tmp_path / "two" / "a.png", 2))
    assert [p.name for p in workspace.images()] == ["a.png", "a.png"]


def test_file_names_that_are_no_text_are_kept(workspace, tmp_path):
    odd = Path(str(tmp_path) + "/caf\udce9 写真.png")  # a lone Latin-1 byte among UTF-8
    try:
        write_photo(odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes text only")
    picture = workspace.add_image(odd)
    assert workspace.image_path(picture.digest) == odd
    assert "写真" in picture.name


def test_a_moved_file_is_told_and_adding_it_again_repairs_it(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    workspace.put_draft(a_draft(1, image_digest=digest, image_path=path))
    path.rename(tmp_path / "b.png")
    with pytest.raises(WorkspaceError, match=r"no longer at .*a\.png.*its drafts are kept"):
        workspace.image_path(digest)
    assert len(list(workspace.check_files())) == 1
    workspace.add_image(tmp_path / "b.png")
    assert workspace.image_path(digest) == tmp_path / "b.png"
    assert workspace.draft(digest, "dog").image_path == tmp_path / "b.png"
    assert list(workspace.check_files()) == []


def test_a_changed_file_is_told_and_the_drafts_of_the_earlier_picture_stay(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    workspace.put_draft(a_draft(1, image_digest=digest, image_path=path))
    write_photo(path, 2)
    with pytest.raises(WorkspaceError, match=r"has changed since 'a\.png' was added"):
        workspace.image_path(digest)
    assert workspace.find_image(path) is None
    assert workspace.add_image(path).digest != digest
    assert workspace.draft(digest, "dog") is not None


def test_a_file_that_was_only_touched_is_the_same_picture(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    path.touch()
    assert workspace.find_image(path) is None
    assert workspace.image_path(digest) == path
    assert workspace.find_image(path).digest == digest


def test_a_kept_copy_is_the_file_itself_unless_that_has_changed(workspace, tmp_path):
    upload = write_photo(tmp_path / "upload.PNG", 1)
    data, image = upload.read_bytes(), read_image(upload)
    assert workspace.add_image(image, keep=True).path.read_bytes() == data
    other = read_image(write_photo(upload, 2))
    write_photo(upload, 3)  # another picture lies there by now
    kept = workspace.add_image(other, keep=True).path
    assert kept.suffix == ".png"
    assert read_image(kept).digest == other.digest


def test_a_kept_copy_outlives_the_upload_and_moves_with_the_workspace(workspace, tmp_path):
    upload = write_photo(tmp_path / "upload.png", 1)
    picture = workspace.add_image(read_image(upload), keep=True)
    upload.unlink()
    workspace.close()
    moved = Workspace.open(workspace.folder.rename(tmp_path / "elsewhere"))
    kept = moved.image_path(picture.digest)
    assert read_image(kept).digest == picture.digest
    assert moved.image(picture.digest).name == "upload.png"


def test_what_is_not_a_picture_is_refused(workspace, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ImageError):
        workspace.add_image(tmp_path / "a.png")
    assert list(workspace.images()) == []


def test_a_class_is_kept_with_all_that_it_is_searched_for_with(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    marks = np.random.default_rng(0).integers(-1, 2, (60, 80)).astype(np.int8)
    label = Label("Dog", ("puppy",), ("cat",))
    about = {"method": "lfss", "preset": "mini", "settings": {"threshold": "0.4"}}
    workspace.put_class(label, {digest_of(2): None, digest_of(0): marks}, **about)
    workspace = reopened(workspace)
    (kept,) = workspace.labels()
    assert (kept.label, kept.method, kept.preset) == (Label("dog", ("puppy",), ("cat",)), "lfss", "mini")
    assert kept.settings == {"threshold": "0.4"}
    first, second = workspace.supports("DOG")
    assert [first.picture.digest, second.picture.digest] == [digest_of(2), digest_of(0)]
    assert (first.known == -1).all()
    assert (second.known == marks).all()
    workspace.put_class(Label("dog"), {digest_of(1): None}, **about)
    assert [s.picture.digest for s in workspace.supports("dog")] == [digest_of(1)]
    assert workspace.labels()[0].label == Label("dog")


def test_a_class_whose_supports_cannot_be_kept_changes_nothing(workspace):
    workspace.put_draft(a_draft(0))
    with pytest.raises(WorkspaceError, match="no picture"):
        workspace.put_class(
            Label("cat"), {digest_of(0): None, digest_of(9): None}, method="lfss", preset="mini"
        )
    with pytest.raises(SupportError, match="60 x 80"):
        workspace.put_class(Label("cat"), {digest_of(0): np.zeros((2, 2), np.int8)}, method="", preset="")
    assert [c.name for c in workspace.labels()] == ["dog"]


def test_a_saved_class_is_copied_into_the_workspace_and_moves_with_it(workspace, tmp_path):
    file = tmp_path / "dog.safetensors"
    file.write_bytes(b"a class")
    workspace.put_class(Label("dog"), {}, method="lfss", preset="mini", class_file=file)
    file.unlink()
    workspace.close()
    with Workspace.open(workspace.folder.rename(tmp_path / "elsewhere")) as moved:
        assert moved.class_file("Dog").read_bytes() == b"a class"
        assert moved.class_file("cat") is None
        with pytest.raises(WorkspaceError, match="cannot be read"):
            moved.put_class(Label("dog"), {}, method="lfss", preset="mini", class_file=file)


def test_supports_keep_order_and_what_is_known(workspace):
    rng = np.random.default_rng(0)
    known = [rng.integers(-1, 2, (60, 80)).astype(np.int8) for _ in range(3)]
    for n in range(3):
        workspace.put_draft(a_draft(n))
        workspace.add_support("dog", digest_of(n), known[n])
    workspace.add_support("dog", digest_of(1), None)
    kept = reopened(workspace).supports("dog")
    assert [s.picture.digest for s in kept] == [digest_of(n) for n in range(3)]
    assert (kept[0].known == known[0]).all()
    assert (kept[1].known == -1).all()


@pytest.mark.parametrize("known", [np.zeros((80, 60), np.int8), np.full((60, 80), 2, np.int8)])
def test_what_does_not_fit_a_support_is_refused(workspace, known):
    workspace.put_draft(a_draft(1))
    with pytest.raises(SupportError, match="60 x 80"):
        workspace.add_support("dog", digest_of(1), known)


# Batches


def test_a_failure_is_kept_until_the_picture_succeeds(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    workspace.record_failure("dog", path, "It is dark.")
    workspace.record_failure("dog", path, "It is too dark.")
    assert workspace.failures("dog") == [(path, "It is too dark.")]
    assert workspace.stats().failures == {"dog": 1}
    workspace.put_draft(a_draft(1, image_path=path))
    assert workspace.failures("dog") == []


# Threads


def test_threads_share_a_workspace(workspace):
    def fill(start: int) -> None:
        for n in range(start, start + 10):
            workspace.put_draft(a_draft(n, size=(8, 8)))
            assert workspace.draft(digest_of(n), "dog") is not None

    threads = [threading.Thread(target=fill, args=(10 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workspace.stats().drafts == {"dog": {"proposed": 40}}
    assert workspace.check() == []


def test_a_closed_workspace_says_so(workspace):
    workspace.close()
    with pytest.raises(WorkspaceError, match="has been closed"):
        workspace.stats()


def test_the_origin_keeps_every_setting(workspace):
    origin = replace(ORIGIN, settings={"size": "400", "edges": "on"})
    workspace.put_draft(a_draft(1, origin=origin))
    assert reopened(workspace).draft(digest_of(1), "dog").origin == origin
