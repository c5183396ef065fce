"""Training: one validated YAML file an experiment, data drawn on the device, exact resume."""
