"""Names of points in a plot that overlap neither each other nor the points."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR, STEP, FARTHEST = 5, 9, 140
"""Distances of a name from its point, in typographic points; a line leads from one that is not near."""
ANGLES = (30, -30, 150, -150, 90, -90, 0, 180)
"""Directions in which a name is tried, in degrees from the right, counterclockwise."""
MOST = 40
"""Characters of a name."""


def label_points(axes: "Axes", points: Mapping[str, tuple[float, float]]) -> None:
    """Write the name of each point where it is free, the nearest place first.

    Limits and scales of the axes must be final. Points that are not finite get no name.

    Args:
        axes: With the points.
        points: Coordinates by name.
    """
    from matplotlib.transforms import Bbox

    figure = axes.get_figure(root=True)
    assert figure  # which an axes without one is not drawn in
    figure.draw_without_rendering()  # which lays the axes out
    finite = {name: point for name, point in points.items() if all(map(math.isfinite, point))}
    pixels: Any = axes.transData.transform(list(finite.values())) if finite else []
    margin = 4 * figure.dpi / 72
    taken = [Bbox.from_bounds(x - margin, y - margin, 2 * margin, 2 * margin) for x, y in pixels]
    for name, point in sorted(finite.items(), key=lambda item: -item[1][1]):
        shown = name if len(name) <= MOST else f"{name[: MOST - 3]}..."
        text = axes.annotate(shown, point, (0, 0), textcoords="offset points", fontsize="small")
        text.set_parse_math(False)
        text.set_in_layout(False)
        best = None
        for x, y, alignment in _places():
            text.set_position((x, y))
            text.set(ha=alignment[0], va=alignment[1])
            box = text.get_window_extent()
            overlap = sum(_area(box, other) for other in taken)
            outside = box.width * box.height - _area(box, axes.bbox)
            if best is None or overlap + outside < best[0]:
                best = overlap + outside, (x, y), alignment, box
            if best[0] < 1:
                break
        assert best
        _, place, alignment, box = best
        text.set_position(place)
        text.set(ha=alignment[0], va=alignment[1])
        taken.append(box)
        if math.hypot(*place) > NEAR + STEP:
            line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
            leader = axes.annotate("", point, place, textcoords="offset points", arrowprops=line)
            leader.set_in_layout(False)


def _places() -> Iterator[tuple[float, float, tuple[str, str]]]:
    """Yield offsets, the nearest first, with the corner of the text that is there."""
    for distance in range(NEAR, FARTHEST, STEP):
        for angle in ANGLES:
            x, y = distance * math.cos(math.radians(angle)), distance * math.sin(math.radians(angle))
            horizontal = "center" if abs(x) < 1 else "left" if x > 0 else "right"
            yield x, y, (horizontal, "center" if abs(y) < 1 else "bottom" if y > 0 else "top")


def _area(one: Any, other: Any) -> float:
    """Return the pixels that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0, width) * max(0, height))
