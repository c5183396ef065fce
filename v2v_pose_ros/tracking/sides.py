"""Whether a hand is a right or a left one, from what the network makes of it both ways."""

from __future__ import annotations

from dataclasses import dataclass

_FAR = 1.0  # the evidence goes no further, so that a mistake can be mended
_STEP = 0.2  # what one look can say at most
_DECIDED = 0.4  # evidence from which on one side is looked at alone
_CHANGED = 0.2  # evidence for the other side that changes the mind
_PERIOD = 15  # looks from one comparison to the next, once it is decided


@dataclass
class SideEvidence:
    """Confidences as a right and as a left hand, summed up over the looks at one subject.

    A single look is right for about nine hands of ten: a flat hand from the front may well be the
    other one from behind.  So both ways are looked at until the sum is clear, and now and then
    later; the answer changes only when the sum does so clearly.

    Attributes:
        side: 'right' or 'left', first what the search said; what is no hand is left as it is.
        unknown: whether it may be the other one.
        total: differences of the confidences, positive for a right hand.
        looks: how often the subject was looked at.
    """

    side: str
    unknown: bool = False
    total: float = 0.0
    looks: int = 0

    def to_look_at(self) -> tuple[str, ...]:
        """Return the sides to look at in this frame."""
        self.looks += 1
        due = abs(self.total) < _DECIDED or self.looks % _PERIOD == 0
        return ('right', 'left') if self.unknown and due else (self.side,)

    def see(self, right: float, left: float) -> None:
        """Take the confidences of both ways into account."""
        difference = min(max(right - left, -_STEP), _STEP)
        self.total = min(max(self.total + difference, -_FAR), _FAR)
        if abs(self.total) > _CHANGED:
            self.side = 'right' if self.total > 0 else 'left'
