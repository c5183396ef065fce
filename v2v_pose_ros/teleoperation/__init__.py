"""From joint positions to what moves a robot. No ROS in here, and no network either."""
