"""From a `tf.data.Dataset` to what travels in its place."""

import re
from typing import Any

from pipeline.data.pipelines.checksums import checksum
from pipeline.data.pipelines.graphs import (
    PYTHON,
    GraphPipeline,
    alike,
    caches_in_a_file,
    detached,
    graph_of,
    operations,
    taken_out,
)
from pipeline.data.pipelines.pipeline import Elements, Pipeline
from pipeline.data.pipelines.reading import ending, read
from pipeline.errors import one_line


def portable(field: str, dataset: Any) -> Pipeline:
    """A `tf.data.Dataset` in a form that another process can make anew.

    Args:
        field: what the user gave it as.
        dataset: of any elements.

    Raises:
        RequestError: it must be read here, and has no end or more elements than memory holds.
    """
    try:
        graph = graph_of(dataset)
    except Exception as error:  # each kind of state has its own
        why = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", one_line(str(error)))
        return read(field, dataset, f"it has no graph ({why})")
    if operations(graph) & PYTHON:
        return read(field, dataset, "it calls Python code")
    if not detached(graph):
        return read(field, dataset, "it uses an object that only this process has")
    if caches_in_a_file(graph):
        for _ in ending(field, dataset, "it caches in a file, which is written before the trials"):
            pass
    fixed = alike(graph) and dataset.options().deterministic is not False
    sha256 = checksum(graph, dataset.element_spec)
    arrays = taken_out(graph)
    return GraphPipeline(Elements.of(dataset), fixed, sha256, graph.SerializeToString(), arrays)
