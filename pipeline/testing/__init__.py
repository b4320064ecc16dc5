"""Conformance tests that others can import.

One module for each kind of extension: searchers, schedulers, trackers and other watchers, backends,
search spaces, datasets. Each function takes what is to be tested and raises an AssertionError that
says what does not hold.
"""
