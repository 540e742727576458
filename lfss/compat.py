"""Make ``import torchvision`` work beside a torch built without it.

Package indexes carry torchvision built for CUDA. Beside a CPU build of torch its compiled part does
not load, and its import stops at the first operator that this part would have defined. timm and
open_clip import torchvision, yet call none of its operators: declaring them is enough.
"""

from __future__ import annotations

import importlib
import sys
import threading

import torch

from .errors import LfssError

_lock = threading.Lock()
# A library that is garbage collected takes its declarations with it.
_declared: list[torch.library.Library] = []


def ensure_torchvision() -> None:
    """Import torchvision, whether or not its compiled part fits this torch.

    Call it before importing timm or open_clip. A matching pair is imported and left as it is.
    Otherwise the missing operators are declared, without code: whatever calls them still fails, and
    everything else works.

    Raises:
        LfssError: torchvision is not installed.
        RuntimeError: torchvision cannot be imported for another reason.
    """
    with _lock:
        try:
            importlib.import_module("torchvision")
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise
            raise LfssError(
                f"torchvision is not installed, and the image networks need the one made for torch "
                f"{torch.__version__}. Install both together: pip install -r requirements.txt"
            ) from error
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            _declare_operators()
            importlib.import_module("torchvision")


def _declare_operators() -> None:
    # The failed import leaves its submodules behind; a second import must run them again.
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
