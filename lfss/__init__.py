"""LFSS Studio: type a label, drop in a few photos, get masks for a whole folder, see why.

The public names, imported on first use so that ``import lfss`` stays fast::

    from lfss import Predictor, Support, parse_label, read_image

    predictor = Predictor.load("mini")
    prepared = predictor.prepare(parse_label("dog"), [Support(read_image("support.jpg"))])
    prediction = predictor.predict(prepared, read_image("query.jpg"))
"""

# No "from __future__ import annotations" here: it would hide the package of that name.
import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULE_OF = {
    "Draft": "drafts",
    "Image": "images",
    "Label": "labels",
    "LfssError": "errors",
    "PRESETS": "presets",
    "Prediction": "stages",
    "Predictor": "predictor",
    "Prepared": "prepared",
    "Stage": "stages",
    "Support": "support",
    "from_detections": "detections",
    "parse_label": "labels",
    "read_image": "images",
    "to_detections": "detections",
}

__all__ = [*_MODULE_OF, "__version__"]

if TYPE_CHECKING:
    from .detections import from_detections as from_detections
    from .detections import to_detections as to_detections
    from .drafts import Draft as Draft
    from .errors import LfssError as LfssError
    from .images import Image as Image
    from .images import read_image as read_image
    from .labels import Label as Label
    from .labels import parse_label as parse_label
    from .predictor import Predictor as Predictor
    from .prepared import Prepared as Prepared
    from .presets import PRESETS as PRESETS
    from .stages import Prediction as Prediction
    from .stages import Stage as Stage
    from .support import Support as Support


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lfss' has no attribute '{name}'")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
