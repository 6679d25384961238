"""Text from files, safe to show: what would control a terminal, or is invisible, becomes an escape such as `\\x1b`."""

import re

HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tabs and line breaks; U+009B is ESC [
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # order of the following text
    r"\xad\u034f\u115f\u1160\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"  # zero width, fillers
    r"\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e0fff"  # line separators, annotations, tags
    r"\ud800-\udc9f]"  # lone surrogates; of the bytes in file names that are not UTF-8, those of control characters
)
BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def visible(text: str) -> str:
    """Return a text of one or more lines in which nothing controls the terminal or is hidden; letters stay."""
    return HIDDEN.sub(_escape, text)


def visible_line(text: str) -> str:
    """Return the same for a text that is to stay on one line, such as a label, which may hold no line break either."""
    return visible(text).translate(BREAKS)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDC9F:
        code -= 0xDC00  # Python's form of a byte that is not UTF-8
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
