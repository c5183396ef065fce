"""One depth frame and its camera in, skeletons out."""

from v2v_pose_ros.estimator.pipeline import Estimate, PoseEstimator
from v2v_pose_ros.estimator.reading import SkeletonEstimate

__all__ = ['Estimate', 'PoseEstimator', 'SkeletonEstimate']
