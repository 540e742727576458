"""Every choice of TLG in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TlgConfig:
    """Choices of the network; the defaults are the description's, or explained where it is silent.

    Attributes:
        width: channels of every feature after aggregation; a multiple of 32.
        cells: both pictures of a correlation are pooled to at most this many rows and columns.
        tokens: tokens along each side of a picture; the published code makes one token of a row of cells,
            which cannot tell columns apart.
        heads: of the self-attention.
        regularisation: of the transport plan. The published 0.5 on costs below 1 makes it almost uniform.
        sinkhorn_steps: fixed, so that a query always costs the same.
        aggregation: off for the ablation without HA: both pictures read all levels.
        transport: off for the ablation without HT: the merged features go on as they are.
        text: off for the ablation without HC.
        use_query_mask: fuse the output with the query's own pseudo mask. Off, that mask is never made.
        published: the published implementation's behaviour, for parity studies (see ``method.py``).
    """

    width: int = 128
    cells: int = 16
    tokens: int = 7
    heads: int = 8
    regularisation: float = 0.1
    sinkhorn_steps: int = 30
    aggregation: bool = True
    transport: bool = True
    text: bool = True
    use_query_mask: bool = True
    published: bool = False
