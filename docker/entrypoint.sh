#!/bin/bash
# Run a command with ROS 2 and this package in its environment.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /ws/install/setup.bash
exec "$@"
