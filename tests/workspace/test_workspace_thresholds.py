"""A new threshold cuts the score map that is kept beside a draft."""

from __future__ import annotations

import numpy as np
import pytest
from kept import same
from samples import a_draft, digest_of, smooth_scores

from lfss.errors import InputError


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
