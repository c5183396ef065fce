"""People: a parametric model, its poses, rooms to learn from, a benchmark and a camera to show."""
