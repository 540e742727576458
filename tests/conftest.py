"""Settings for all tests: no network, no analytics, one thread for each worker."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("MPLBACKEND", "Agg")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from lfss.compat import ensure_torchvision  # noqa: E402

# Here too, since the process that collects the workers' warnings imports Lightning to show them.
ensure_torchvision()
