"""The model and who may use it: owns weights, device, the only lock, and prepared classes."""

from __future__ import annotations

import copy
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, LfssError, WeightsUnavailable
from lfss.labels import WEAK
from lfss.settings import Settings

from . import model

if TYPE_CHECKING:  # torch takes seconds to import, and the page need not wait for it
    from lfss.asking import Marks
    from lfss.cells import Encoder
    from lfss.encoders.vocabulary import Vocabulary
    from lfss.encoding import Encoded
    from lfss.images import Image
    from lfss.labels import Label
    from lfss.predictor import Predictor
    from lfss.prepared import Prepared
    from lfss.stages import Prediction, Stage
    from lfss.support import Support

    from .items import MarkedPicture

DEFAULTS = Settings()
CACHE_BYTES = 512 * 2**20  # prepared classes: up to 25 MB for each support
ENCODED_PICTURES = 8  # that somebody asks about: up to 25 MB each
CELLS_BYTES = 32 * 2**20  # cells of pictures, for the folder pass: 430 pictures with mini

logger = logging.getLogger(__name__)


class Service:
    """One model for everybody.

    The lock is held for one step of the model and freed before anything is handed out: a visitor who
    reads slowly stops nobody, and a cancelled run ends at its next step.

    Args:
        preset: a name of ``lfss.presets.PRESETS`` or ``module:function``.
        method: a name of ``lfss.methods.METHODS``.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        models_dir: folder for weights put there by hand.
        cache_bytes: how much memory prepared classes may take in all.
    """

    def __init__(
        self,
        preset: str = "mini",
        *,
        method: str = "lfss",
        device: str = "auto",
        models_dir: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
    ):
        self.preset, self.method, self.device, self.models_dir = preset, method, device, models_dir
        self._cache_bytes = cache_bytes
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._encoded: OrderedDict[str, Encoded] = OrderedDict()
        self._lock = threading.Lock()
        self._loaded = threading.Event()
        self._started = threading.Lock()
        self._predictor: Predictor | None = None
        self._number = -1  # of the predictor, for the functions that run it
        self._problem: LfssError | None = None
        self._cells: Encoder | None = None

    def start(self) -> None:
        """Begin to load the preset in the background; a second call does nothing."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._load, name="load-preset", daemon=True).start()

    def _load(self) -> None:
        try:
            from lfss.cells import Encoder
            from lfss.predictor import Predictor

            predictor = Predictor.load(
                self.preset, method=self.method, device=self.device, models_dir=self.models_dir
            )
            self._number = model.register(predictor)
            # A copy on the processor: a lent GPU is there for calls of the model alone.
            edges = None if predictor.edges is None else copy.deepcopy(predictor.edges).cpu()
            self._cells = Encoder(self._encode, room=CELLS_BYTES, edges=edges)
            predictor.seen = self._cells.keep
            self._predictor = predictor
        except LfssError as error:
            self._problem = error
        except Exception as error:
            logger.exception("the preset %s cannot be loaded", self.preset)
            self._problem = WeightsUnavailable(
                f"The preset '{self.preset}' cannot be loaded ({type(error).__name__}). See the log."
            )
        self._loaded.set()

    @property
    def loading(self) -> bool:
        """Whether the preset is still being loaded."""
        return not self._loaded.is_set()

    def wait(self) -> None:
        """Return once the preset is loaded, or cannot be."""
        self.start()
        self._loaded.wait()

    @property
    def problem(self) -> str:
        """Why there is no model, one sentence for people; empty while loading and when all is well."""
        return str(self._problem) if self._problem else ""

    def predictor(self) -> Predictor:
        """The model, once it is loaded.

        Raises:
            LfssError: it cannot be loaded.
        """
        self.wait()
        if self._predictor is None:
            raise self._problem or WeightsUnavailable("There is no model.")
        return self._predictor

    def unknown_words(self, phrases: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Words that the preset does not know, each with the closest ones that it knows.

        Empty while the preset is loading, and for presets that know language rather than a list of words.
        """
        if self._predictor is None:
            return {}
        vlm, vocabulary = self._predictor.encoders.vlm, self._vocabulary()
        return {
            phrase: vocabulary.closest(phrase) if vocabulary else ()
            for phrase in phrases
            if vlm.text_trust(phrase) == 0
        }

    def weak_word(self, phrases: Sequence[str]) -> str:
        """The best known of these words if the preset has learnt too little of it to search with it.

        Empty if it has learnt enough or nothing of it, and while the preset is loading.
        """
        if self._predictor is None:
            return ""
        trust, best = max((self._predictor.encoders.vlm.text_trust(p), p) for p in phrases)
        return best if 0 < trust < WEAK else ""

    def known_words(self) -> tuple[str, ...]:
        """The things that the preset finds by name; empty where it has no such list, or is not loaded yet."""
        vocabulary = self._vocabulary()
        return tuple(concept.name for concept in vocabulary.trusted) if vocabulary else ()

    def words_to_offer(self) -> tuple[str, ...]:
        """The same with synonyms and kinds, to complete what is typed; empty in the same cases."""
        vocabulary = self._vocabulary()
        return vocabulary.words if vocabulary else ()

    def _vocabulary(self) -> Vocabulary | None:
        vlm = self._predictor.encoders.vlm if self._predictor else None
        return getattr(vlm, "vocabulary", None)

    def prepare(self, label: Label, supports: Sequence[Support]) -> Prepared:
        """The class of these supports, encoded now or remembered.

        Raises:
            SupportError, LfssError: see ``Predictor.prepare``.
        """
        predictor = self.predictor()
        key = class_key(predictor.preset.name, label, supports)
        with self._lock:
            if key in self._prepared:
                self._prepared.move_to_end(key)
                return self._prepared[key]
            prepared = model.prepare(self._number, label, supports)
            self._remember(key, prepared)
        return prepared

    def load_class(self, path: Path) -> Prepared:
        """A class that was saved to a file, read now or remembered.

        Raises:
            InputError: the file is damaged, or was made with another preset or method.
        """
        from lfss.prepared import Prepared

        predictor = self.predictor()
        key = hashlib.sha256(path.read_bytes()).hexdigest()
        with self._lock:
            prepared = self._prepared.get(key) or Prepared.load(
                path, device=model.storage_device(self._number)
            )
            here = {"preset": predictor.preset.name, "method": predictor.method.name}
            for kind, name in here.items():
                if getattr(prepared, kind) != name:
                    raise InputError(
                        f"This class was saved with the {kind} '{getattr(prepared, kind)}', the app runs "
                        f"'{name}'. Start the app with that {kind}, or add the supports again."
                    )
            self._remember(key, prepared)
        return prepared

    def look_at_supports(
        self, prepared: Prepared
    ) -> tuple[tuple[npt.NDArray[np.bool_], ...], tuple[float, ...]]:
        """What each support takes to be its object, (h, w) bool, and how well it agrees with the others."""
        self.predictor()
        with self._lock:
            return model.look(self._number, prepared)

    def remembered(self, key: str) -> Prepared | None:
        """The class of a ``class_key``, if it is still in memory."""
        with self._lock:
            return self._prepared.get(key)

    def ask(
        self, label: Label, prepared: Prepared | None, image: Image, marks: Marks
    ) -> npt.NDArray[np.bool_]:
        """The mask that the model proposes for marks on a picture, see ``lfss.asking``.

        The encodings of the latest pictures are kept, so that the next mark is answered at once.
        """
        self.predictor()
        with self._lock:
            encoded = self._encoded.pop(image.digest, None)
            mask, encoded = model.ask(self._number, prepared, label, (image, encoded), marks)
            self._encoded[image.digest] = encoded
            while len(self._encoded) > ENCODED_PICTURES:
                self._encoded.popitem(last=False)
        return mask

    def is_present(self, prediction: Prediction) -> bool:
        """Whether the model says that the object is in the picture."""
        return prediction.presence >= self.predictor().preset.presence_threshold

    def segment(
        self,
        prepared: Prepared,
        query: Image,
        settings: Settings = DEFAULTS,
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Stage | Prediction]:
        """One class on one picture: every stage as it is made, then the Prediction.

        Args:
            prepared: the class.
            query: the picture.
            settings: threshold and others.
            cancelled: asked between two steps.
        """
        for _, item in self.segment_classes([prepared], query, settings, cancelled=cancelled):
            yield item

    def segment_classes(
        self,
        prepared: Sequence[Prepared],
        query: Image,
        settings: Settings = DEFAULTS,
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """The number of a class and a stage as it is made, then all predictions; the picture is encoded once.

        Nothing more comes once ``cancelled()`` is true.

        Args:
            prepared: the classes.
            query: the picture.
            settings: threshold and others.
            cancelled: asked between two steps.

        Raises:
            NoForeground, LfssError: see ``Predictor.iterate_classes``.
        """
        self.predictor()
        steps = model.steps(self._number, list(prepared), query, settings.options)
        while not cancelled():
            with self._lock:
                item = next(steps, None)
            if item is None:
                return
            yield item

    def cells(self) -> Encoder:
        """Cells of pictures for the folder pass; those of the first pictures of runs are there already.

        Raises:
            LfssError: there is no model.
        """
        self.predictor()
        assert self._cells is not None
        return self._cells

    def _encode(self, image: Image) -> Encoded:
        with self._lock:
            return model.encode(self._number, image)

    def _remember(self, key: str, prepared: Prepared) -> None:
        self._prepared[key] = prepared
        self._prepared.move_to_end(key)
        while len(self._prepared) > 1 and sum(p.nbytes for p in self._prepared.values()) > self._cache_bytes:
            self._prepared.popitem(last=False)


def class_key(preset: str, label: Label, supports: Sequence[Support | MarkedPicture]) -> str:
    """The same for the same preset, words, pictures and marks; other otherwise."""
    digest = hashlib.sha256(repr((preset, label)).encode())
    for support in supports:
        digest.update(support.image.digest.encode())
        digest.update(b"-" if support.known is None else hashlib.sha256(support.known.tobytes()).digest())
    return digest.hexdigest()
