"""Fill the cache that mini is distilled from: ``python -m train.distill_cache --help``."""

from __future__ import annotations

from .mini.cache import main

if __name__ == "__main__":
    main()
