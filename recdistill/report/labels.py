"""Where a chart's labels go so that none covers a point or another label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COVERING = 50.0
"""What a unit of covered area counts: more than the way to the last place that is tried."""
STEPS = (0.0, *(side * lines for lines in (0.9, 1.6, 2.5, 3.5, 4.5, 5.5, 6.5, 8.0, 10.0, 12.0) for side in (1, -1)))
"""Lines up or down from the point, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """The shared area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def outside(self, frame: Box) -> float:
        """How far it sticks out of the frame, in all four directions together."""
        over = (frame.left - self.left, self.right - frame.right, frame.bottom - self.bottom, self.top - frame.top)
        return sum(max(side, 0.0) for side in over)


@dataclass(frozen=True, slots=True)
class Placed:
    x: float
    """Where the text is anchored: its start, or its end when `align` is right."""
    y: float
    align: str
    far: bool
    """Too far from its point to be taken as its own: draw a line between them."""


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    frame: Box,
    *,
    taken: Sequence[Box] = (),
    em: float = 6.2,
    line: float = 13.0,
) -> list[Placed]:
    """One place for each text, in the points' units; earlier texts choose first.

    `em` is the mean width of a letter, `line` the height of a line. `taken` is what must stay free beside the points.
    """
    busy = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points] + list(taken)
    chosen = []
    for (x, y), text in zip(points, texts, strict=True):
        options = list(_options(x, y, len(text) * em, line))

        def cost(option: tuple[Placed, Box], at: int) -> float:
            box = option[1]
            return COVERING * sum(box.overlap(other) for other in busy) + 50 * box.outside(frame) + 3.0 * at

        best = min(range(len(options)), key=lambda at: cost(options[at], at))
        placed, box = options[best]
        busy.append(box)
        chosen.append(placed)
    return chosen


def _options(x: float, y: float, width: float, line: float) -> Iterator[tuple[Placed, Box]]:
    """Beside the point, then further up and down on both sides; the near ones first."""
    for step in STEPS:
        for align, start in (("left", x + 9), ("right", x - 9 - width)):
            middle = y + step * line
            box = Box(start, middle - line / 2, start + width, middle + line / 2)
            yield Placed(x + 9 if align == "left" else x - 9, middle, align, abs(step) > 1), box
