"""What a tracker keeps in a run's directory from one process to the next, such as a remote id."""

from collections.abc import Callable
from typing import Any

from pipeline.errors import RequestError
from pipeline.records.checksummed import Warned, read_checksummed, write_checksummed
from pipeline.records.layout import Layout


class TrackerState:
    """A JSON object in the run's directory, kept twice, each time with a checksum.

    Args:
        name: the tracker's, as a file can be called.
        layout: gives the run's layout, which may change before the run's directory is there; None
            while it is not known yet.
        warned: is told where a copy was needed.
    """

    def __init__(
        self, name: str, layout: Callable[[], Layout | None], warned: Warned = lambda text: None
    ) -> None:
        self.name = name
        self._layout, self._warned = layout, warned

    def read(self) -> dict[str, Any]:
        """What was kept; empty where nothing was.

        Raises:
            RequestError: it is damaged, and so is its copy.
        """
        layout = self._layout()
        if layout is None:
            return {}
        path = layout.tracker_state(self.name)
        try:
            return read_checksummed(layout, path, dict, self._warned)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RequestError(
                f"{path} must hold what the tracker {self.name!r} kept; it is damaged: {error}."
            ) from error

    def keep(self, **facts: Any) -> None:
        """Keep facts, as JSON can hold them, beside those that were kept before.

        Raises:
            RequestError: the run's directory is not there yet.
        """
        layout = self._layout()
        if layout is None or not layout.experiment.is_file():
            what = "it" if layout is None else layout.place
            raise RequestError(
                "A tracker must wait for the run's directory before it keeps something in it: "
                f"from `directory` on; {what} is not there yet."
            )
        write_checksummed(layout, layout.tracker_state(self.name), {**self.read(), **facts})
