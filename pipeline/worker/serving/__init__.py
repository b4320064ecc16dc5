"""The saved model as others use it: with its preparation inside, and from rows to predictions."""
