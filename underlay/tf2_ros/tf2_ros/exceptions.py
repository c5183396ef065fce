"""Why a transform cannot be given."""


class TransformException(Exception):
    """Any of the reasons below."""


class ConnectivityException(TransformException):
    """The two frames are not in one tree."""


class LookupException(TransformException):
    """A frame is not known."""


class ExtrapolationException(TransformException):
    """The time asked for lies outside of what was received."""


class InvalidArgumentException(TransformException):
    """A frame name is not valid."""


class TimeoutException(TransformException):
    """It took too long."""
