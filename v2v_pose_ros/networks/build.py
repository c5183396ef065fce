"""The network of a configuration, whichever kind it is, and what model files call the kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from v2v_pose_ros.networks.baselines import BaselineConfig, BaselineNet
from v2v_pose_ros.networks.refinement import RefinementConfig, RefinementNet
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet

NetworkChoice = V2VConfig | BaselineConfig | RefinementConfig

_KINDS: dict[str, type[NetworkChoice]] = {
    'v2v': V2VConfig,
    'baseline': BaselineConfig,
    'refinement': RefinementConfig,
}


def kind_of(config: NetworkChoice) -> str:
    """Return what model files call a configuration's kind."""
    return next(kind for kind, each in _KINDS.items() if isinstance(config, each))


def config_from(kind: str, values: Mapping[str, Any]) -> NetworkChoice:
    """Rebuild a configuration from a model file; raise ValueError for an unknown kind."""
    if kind not in _KINDS:
        raise ValueError(f'unknown kind of network {kind!r}; known: {", ".join(_KINDS)}')
    return _KINDS[kind].from_dict(dict(values))


def make_network(config: NetworkChoice) -> V2VPoseNet | BaselineNet | RefinementNet:
    """Return the untrained network of a configuration."""
    if isinstance(config, RefinementConfig):
        return RefinementNet()
    return V2VPoseNet(config) if isinstance(config, V2VConfig) else BaselineNet(config)
