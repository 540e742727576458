"""What a language model's vectors of names say about the vocabulary: which concepts lie close to which."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.vocabulary import Vocabulary

NEAR = 0.5  # cosine of two names from which one is suggested for the other; looked at, not tuned


def words_near(vocabulary: Vocabulary, names: Sequence[str], vectors: Tensor) -> dict[str, str]:
    """The concept closest in meaning to each name outside the vocabulary, where one is close.

    Args:
        vocabulary: known concepts.
        names: N names that a language model was asked for.
        vectors: (N, D) its answers, unit rows.
    """
    centred = F.normalize(vectors - vectors.mean(0), dim=1)
    found = [vocabulary.resolve(name) for name in names]
    known = [i for i, match in enumerate(found) if match and match.index and match.trust == 1]
    near = {}
    for i, name in enumerate(names):
        if found[i] is None:
            cosine, best = (centred[known] @ centred[i]).max(0)
            match = found[known[int(best)]]
            if cosine > NEAR and match is not None:
                near[name] = match.concept.name
    return near
