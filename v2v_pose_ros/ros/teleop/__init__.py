"""Driving a robot with the hand that the pose node sees."""
