"""Hands: a parametric model, its poses, scenes to learn from, a benchmark and a camera to show."""
