"""The terminal report as a picture."""

from __future__ import annotations

from profiler.pictures import TerminalPicture
from profiler.render.picture import svg_picture

PICTURE = TerminalPicture("what the terminal shows", svg_picture)
