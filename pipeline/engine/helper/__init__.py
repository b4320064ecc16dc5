"""The one process beside the trials: it loads data and follows `build`."""
