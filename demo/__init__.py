"""The web app: one service with the model, one session for each tab of a browser, one file for each tab."""

from .page import build

__all__ = ["build"]
