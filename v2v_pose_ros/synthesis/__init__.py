"""Synthetic depth: parametric hands, a rasteriser, sensor models and whole labelled frames."""
