"""A live 3D view of what the estimator sees and finds, with Rerun; it knows no ROS."""
