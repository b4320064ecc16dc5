"""What a search warns of."""

from pipeline.watch import Watcher


class Hearing(Watcher):
    """Keeps the warnings."""

    def __init__(self):
        self.said = []

    def warned(self, text):
        self.said.append(text)
