"""The share of a machine that a trial may use."""
