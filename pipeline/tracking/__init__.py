"""Trackers: watchers that an experiment names, to send a run to where others look at it."""

# name -> "module:Class", a `Watcher`; imported once an experiment names it
TRACKERS: dict[str, str] = {}
