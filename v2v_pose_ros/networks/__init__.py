"""Networks: V2V-PoseNet and the one that refines the reference point."""
