"""What every handler of the page shares: how errors are told, and which queue it waits in."""

from __future__ import annotations

import functools
import html
import inspect
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from lfss.errors import LfssError

logger = logging.getLogger(__name__)

# Handlers of the page are no public endpoints. Those that do not use the model show no spinner.
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
LIGHT: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}
# Runs of several visitors take turns at the model step by step; who comes after them waits in a queue.
MODEL: dict[str, Any] = {**PRIVATE, "concurrency_id": "model", "concurrency_limit": 8}


def as_gradio_error(error: Exception, *, page: bool = True) -> gr.Error:
    """An error as people and programs see it: ours word for word, any other as an apology.

    The details of others are in the log.

    Args:
        error: what was raised.
        page: it is for the page, which shows it as HTML; programs get it as it is.
    """
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, LfssError):
        sentence = html.escape(str(error)) if page else str(error)
        return gr.Error(sentence, title="Please check", print_exception=False)
    logger.error("fault of the app", exc_info=error)
    return gr.Error(
        "Something went wrong in the app; your work is kept. Try again, or reload the page.",
        title="Sorry",
        print_exception=False,
    )


def guarded_plainly(handler: Callable) -> Callable:
    """The handler of an endpoint for programs, with its errors told as plain text."""
    return guarded(handler, page=False)


def guarded(handler: Callable, *, page: bool = True) -> Callable:
    """The handler, plain or generator, with its errors told."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **kwargs: Any) -> Any:
            try:
                yield from handler(*args, **kwargs)
            except Exception as error:
                raise as_gradio_error(error, page=page) from error

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            raise as_gradio_error(error, page=page) from error

    return call
