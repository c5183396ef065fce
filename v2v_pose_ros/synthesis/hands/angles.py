"""The joint angles of a hand and how far they go; plain numbers, for those without PyTorch too."""

from __future__ import annotations

from v2v_pose_ros.skeletons import FINGERS

ANGLES: tuple[str, ...] = (
    'wrist_flexion',
    'wrist_deviation',
    'thumb_cmc_flexion',
    'thumb_cmc_abduction',
    'thumb_mcp_flexion',
    'thumb_ip_flexion',
    *(
        f'{finger}_{angle}'
        for finger in FINGERS[1:]
        for angle in ('mcp_flexion', 'mcp_abduction', 'pip_flexion', 'dip_flexion')
    ),
)
"""The 22 joint angles in radians.

Flexion is zero where a bone continues the one before it and positive towards the palm; abduction
and wrist deviation are positive towards the thumb.  The thumb's first joint is measured from its
rest pose: flexion sweeps it across the palm, abduction lifts it out of the palm's plane.
"""

# After Kapandji, The Physiology of the Joints, and the measured everyday ranges that
# hyperextension adds.
_LIMITS = {
    'wrist_flexion': (-55, 60),
    'wrist_deviation': (-30, 20),
    'thumb_cmc_flexion': (-25, 35),
    'thumb_cmc_abduction': (-25, 40),
    'thumb_mcp_flexion': (-15, 60),
    'thumb_ip_flexion': (-25, 75),
    'mcp_flexion': (-25, 88),
    'mcp_abduction': (-20, 20),
    'pip_flexion': (-8, 108),
    'dip_flexion': (-12, 75),
}

DEGREES: tuple[tuple[int, int], ...] = tuple(
    _LIMITS.get(name) or _LIMITS[name.split('_', 1)[1]] for name in ANGLES
)
"""The lowest and the highest value of each angle in degrees."""
