"""Weights that others trained, made into model files of this package."""


class ImportWeightsError(ValueError):
    """A file of weights cannot be read, or does not hold the network that was asked for."""
