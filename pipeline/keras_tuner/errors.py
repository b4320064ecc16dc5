"""KerasTuner's errors that user code raises by itself."""


class FailedTrialError(Exception):
    """Raised in `build` or `fit`: this configuration cannot be trained. The trial failed, and the search goes on."""
