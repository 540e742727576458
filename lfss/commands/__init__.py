"""The commands of ``lfss``, a module each with ``add_flags`` and ``run``.

``run`` returns an exit code: ``OK``, ``FAILED`` (some pictures, or the writing of results), ``REFUSED``
(bad input, nothing was done), ``NO_WEIGHTS`` or ``STOPPED`` (Ctrl-C).
"""

OK, FAILED, REFUSED, NO_WEIGHTS, STOPPED = 0, 1, 2, 3, 130
