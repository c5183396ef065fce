"""An operator before a teleoperator, without any clock but that of the frames."""

from __future__ import annotations

import dataclasses

from teleop_hands import open_hand

from v2v_pose_ros.teleoperation.teleoperator import Skeleton, Teleoperator, TeleoperatorOptions

PERIOD = 1 / 30
OPTIONS = TeleoperatorOptions()


class Operator:
    """Shows hands to a teleoperator, frame by frame."""

    def __init__(self, options: TeleoperatorOptions = OPTIONS, retargeter=None) -> None:
        self.teleoperator = Teleoperator(options, retargeter)
        self.now = 100.0
        self.teleoperator.tick(self.now)

    def show(self, positions, frames: int = 1, **changes):
        for _ in range(frames):
            self.now += PERIOD
            skeleton = Skeleton(positions, confidence=0.9, stamp=self.now, age=0.02)
            self.teleoperator.see(dataclasses.replace(skeleton, **changes), self.now)
        return self.teleoperator.command

    def wait(self, seconds: float):
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.teleoperator.tick(self.now)
        return self.teleoperator.command

    def arm(self):
        return self.teleoperator.request(True, self.now, 'a test')

    @property
    def state(self) -> str:
        return self.teleoperator.safety.state


def armed(options: TeleoperatorOptions = OPTIONS, retargeter=None) -> Operator:
    operator = Operator(options, retargeter)
    operator.show(open_hand())
    assert operator.arm() is None
    assert operator.show(open_hand()) is not None
    return operator
