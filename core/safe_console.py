"""A console of rich for text from files, which is no markup and cannot control the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from .visible_text import visible_line


class SafeConsole(Console):
    """Prints strings verbatim: brackets are not markup, `:name:` is not an emoji, control characters are escaped.

    This holds for every string that is printed, also as a cell or a title of a table; each is a line of its own.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as what rich prints."""
        return super().render_str(visible_line(text), **options | {"markup": False, "emoji": False, "highlight": False})
