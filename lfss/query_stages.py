"""The stages of one query: what the method describes of its steps, then for each class presence and score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .edge_network import EdgeNetwork, score_at_pixels
from .edges import Floats
from .encoding import Encoded
from .errors import NoForeground
from .images import Image
from .methods import Method, Step
from .prepared import Prepared
from .reasoning import CLOSER, PRESENCE, SCORE, Sizes, stages_of, to_stage
from .second_look import Window, blend, in_place, window_around
from .stages import Stage


@dataclass(frozen=True, eq=False)
class QueryStages:
    """What the stages of a query are made with.

    Attributes:
        method: it describes its stages.
        steps: the method's steps for some classes and a picture with its encoding, and whether the picture is
            known to show the classes.
        encode: a part of the picture to its encoding.
        edges: the network that corrects the score along the picture's edges; None for none.
        snap: move the border of the score to the picture's edges.
        again: the presence from which small objects are looked at a second time; None for never. What is
            judged absent is not looked for again.
    """

    method: Method
    steps: Callable[[Sequence[Prepared], Image, Encoded, bool], Iterator[Step]]
    encode: Callable[[Image], Encoded]
    edges: EdgeNetwork | None
    snap: bool
    again: float | None

    def make(
        self, group: Sequence[Prepared], image: Image, encoded: Encoded, assume_present: bool
    ) -> Iterator[tuple[int, Stage]]:
        """Yield each stage as it is made, with the number of its class in the group.

        Args:
            group: classes that the method reads together.
            image: the query.
            encoded: the query's encoding.
            assume_present: the query is known to show the classes.

        Raises:
            NoForeground: no support of a class shows the object.
        """
        last = None
        masks = self.method.stage_of("refined_mask") or self.method.stage_of("first_mask")
        for last in self.steps(group, image, encoded, assume_present):
            for number, one in enumerate(group):
                if masks and masks.supports and masks.step == last.key:
                    _check_supports(one, last.supports(masks.supports)[number])
                sizes = Sizes(one.cells, image.size, one.sizes)
                for stage in stages_of(self.method.stages, last, number, sizes):
                    yield number, stage
        assert last is not None
        for number in range(len(group)):
            presence = last.query("presence")[0, number].float().cpu().numpy()
            yield number, to_stage(PRESENCE, query=presence)
            score = self._score(last, number, image)
            window = window_around(score) if self.again is not None and presence >= self.again else None
            if window is not None:
                closer = self._look_again(group, number, image, window)
                yield number, to_stage(CLOSER, query=in_place(closer, window, image.size))
                score = blend(score, closer, window)
            yield number, to_stage(SCORE, query=score)

    def _look_again(self, group: Sequence[Prepared], number: int, image: Image, window: Window) -> Floats:
        """(h, w) in [0, 1]: the score of one class in a part of the picture, read as a picture of its own.

        The part is known to show the class.
        """
        part = Image(np.ascontiguousarray(image.pixels[window.place]), image.name)
        *_, last = self.steps(group, part, self.encode(part), True)
        return self._score(last, number, part)

    def _score(self, last: Step, number: int, image: Image) -> Floats:
        """(H, W) in [0, 1]: the score of one class at the picture's pixels, from a method's last step."""
        logits = last.query("logits")[0, number].float().cpu().numpy()  # (h, w)
        return score_at_pixels(logits, image.pixels, self.edges, snap=self.snap)


def _check_supports(prepared: Prepared, masks: Tensor) -> None:
    if not masks.any():
        label = prepared.label.text
        raise NoForeground(
            f"No support shows the object '{label}'. Add another support, or mark the object.", label=label
        )
