"""KerasTuner's errors that user code raises by itself."""

from pipeline.errors import RequestError


class FailedTrialError(Exception):
    """Raised in `build` or `fit`: this configuration cannot be trained.

    The trial failed, and the search goes on.
    """


class FatalError(RequestError):
    """Raised in `build` or `fit`: something is wrong with all of them. The search ends."""


class FatalValueError(FatalError, ValueError):
    """Likewise: a value that cannot be."""


class FatalTypeError(FatalError, TypeError):
    """Likewise: a type that cannot be."""


class FatalRuntimeError(FatalError, RuntimeError):
    """Likewise."""
