"""What was tried, so that nothing is tried twice."""

from pipeline.space.configuration import Configuration, identity


class TriedConfigurations:
    """Proposals that were made, and configurations that trials told of themselves.

    What a trial told speaks for every proposal that holds all of it: `build` and `fit` ask
    according to the answers that they get, so they would ask for the same again, and never for the
    rest of the proposal.

    Args:
        by_fit: names that some `fit` asked for.
    """

    def __init__(self, by_fit: set[str]) -> None:
        self._by_fit = by_fit
        self._proposed: set[str] = set()
        self._told: dict[str, list[Configuration]] = {}

    def propose(self, identity_of: str) -> None:
        """A proposal was made, by its identity."""
        self._proposed.add(identity_of)

    def tell(self, parts: tuple[str, Configuration]) -> None:
        """A trial told its configuration, in the parts that `split` makes of it."""
        self._told.setdefault(parts[0], []).append(parts[1])

    def split(self, configuration: Configuration) -> tuple[str, Configuration]:
        """The identity of what only `build` asks for, and the rest."""
        by_build = {
            name: value for name, value in configuration.items() if name not in self._by_fit
        }
        return identity(by_build), {
            name: value for name, value in configuration.items() if name in self._by_fit
        }

    def __contains__(self, configuration: Configuration) -> bool:
        if identity(configuration) in self._proposed:
            return True
        by_build, rest = self.split(configuration)
        return any(told.items() <= rest.items() for told in self._told.get(by_build, ()))
