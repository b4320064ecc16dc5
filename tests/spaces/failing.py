"""Builds, and fails in every trial."""

import tiny

build = tiny.build


def fit(hp, model, *args, **kwargs):
    return {}["no such key"]
