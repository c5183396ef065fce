"""Networks in the files of other runtimes, checked against torch, each with a model card."""


class ExportError(ValueError):
    """A network cannot be exported: something is missing, or the result differs too much."""
