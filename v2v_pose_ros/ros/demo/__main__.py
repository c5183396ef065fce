"""Run the demo: `python -m v2v_pose_ros.ros.demo`, or `make demo`."""

import sys

from v2v_pose_ros.ros.demo.command import main

if __name__ == '__main__':
    sys.exit(main())
