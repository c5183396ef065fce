"""The network of a configuration, whichever kind it is."""

from __future__ import annotations

from v2v_pose_ros.networks.baselines import BaselineConfig, BaselineNet
from v2v_pose_ros.networks.refinement import RefinementConfig, RefinementNet
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet

NetworkChoice = V2VConfig | BaselineConfig | RefinementConfig


def make_network(config: NetworkChoice) -> V2VPoseNet | BaselineNet | RefinementNet:
    """Return the untrained network of a configuration."""
    if isinstance(config, RefinementConfig):
        return RefinementNet()
    return V2VPoseNet(config) if isinstance(config, V2VConfig) else BaselineNet(config)
