"""Pipelines by their graphs."""

import pickle
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.data.pipelines.pipeline import CPU, Pipeline, tensorflow

LARGE_BYTES = 16 * 2**20  # arrays of a graph that travel beside it, if they have more in all
BESIDE_BYTES = 1024  # below it an array is left in the graph

# What stands in a graph for something of this process alone.
PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "GeneratorDataset"}
# What makes one epoch unlike the next, or may: random operations (those called Stateless are not),
# and state that an epoch changes.
CHANGING = re.compile(
    r"(?!Stateless).*(Random|Shuffle|Rng|Multinomial|Sampl|Truncated|Stateful[^P]|NonDet)"
    r"|VarHandleOp|Mutable\w*HashTable"
)
RANDOM_ORDER = {"ShuffleDatasetV2", "ShuffleDatasetV3"}
ELSEWHERE = "of another process"


@dataclass(frozen=True, eq=False)
class GraphPipeline(Pipeline):
    """A pipeline by its graph, and the large arrays in it by the names of their nodes."""

    graph: bytes
    arrays: dict[str, Any]

    def __call__(self) -> Any:
        """Of `Pipeline`: its arrays are not copied."""
        tf = tensorflow()
        graph = tf.compat.v1.GraphDef.FromString(self.graph)
        result = next(node for node in graph.node if node.op == "_Retval")
        output = result.input[0] if ":" in result.input[0] else f"{result.input[0]}:0"
        graph.node.remove(result)

        def imported(*tensors: Any) -> Any:
            fed = {f"{n}:0": t for n, t in zip(self.arrays, tensors, strict=True)}
            (made,) = tf.graph_util.import_graph_def(
                graph, input_map=fed, return_elements=[output], name=""
            )
            return made

        with tf.device(CPU):
            tensors = [_mapped(tf, array) for array in self.arrays.values()]
            signature = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
            variant = tf.compat.v1.wrap_function(imported, signature)(*tensors)
            dataset = tf.data.experimental.from_variant(
                variant, pickle.loads(self.elements.structure)
            )
        if not self.arrays or _is_fused(graph):
            return dataset
        # Rewriting its graph before each epoch, TensorFlow would copy the arrays (2.21).
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        return dataset.with_options(options)


def _is_fused(graph: Any) -> bool:
    """Whether TensorFlow makes one operation of two, which draws another order than they would."""
    return bool(RANDOM_ORDER & operations(graph)) and "RepeatDataset" in operations(graph)


def graph_of(dataset: Any) -> Any:
    """The `GraphDef` of a dataset; operations with state are let through.

    Raises:
        Exception: TensorFlow's, each of its own kind; something in it has no graph.
    """
    import tensorflow as tf

    graph = tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(dataset), external_state_policy=1
    )
    return parsed(graph.numpy())


def parsed(content: bytes) -> Any:
    """A `GraphDef` from its bytes.

    Raises:
        ValueError: there are none, as TensorFlow has it of a graph that is too large.
    """
    import tensorflow as tf

    if not content:
        raise ValueError("its arrays have more than 2 GiB")
    return tf.compat.v1.GraphDef.FromString(content)


def operations(graph: Any) -> set[str]:
    """All that are in it."""
    return {node.op for node in _nodes(graph)}


def alike(graph: Any) -> bool:
    """Whether each epoch is known to have the same elements."""
    return not any(map(CHANGING.match, operations(graph)))


def _nodes(graph: Any) -> Iterator[Any]:
    """Those of the functions in it too."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def detached(graph: Any) -> bool:
    """Whether a graph does without the objects of this process; those that it makes anew are cut.

    A shuffle names its seeds, a cache what it holds. In another process they make their own, unless
    something there has the same name: so it is a name that nothing has.
    """
    import tensorflow as tf

    readers = _readers(graph)
    for node in _nodes(graph):
        if node.op != "Const" or node.attr["dtype"].type != tf.resource.as_datatype_enum:
            continue
        if not all(op.startswith(("Shuffle", "Cache", "Random")) for op in readers[node.name]):
            return False
        for handle in node.attr["value"].tensor.resource_handle_val:
            handle.name = ELSEWHERE
    return True


def _readers(graph: Any) -> dict[str, set[str]]:
    """The operations that read each node."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in _nodes(graph):
        for name in node.input:
            found[name.partition(":")[0]].add(node.op)
    return found


def caches_in_a_file(graph: Any) -> bool:
    """Whether a cache in it has a file: processes that all write it stop each other."""
    texts = {n.name: n.attr["value"].tensor.string_val for n in graph.node if n.op == "Const"}
    caches = [n for n in graph.node if n.op.startswith("CacheDataset")]
    return any(any(texts.get(n.input[1].partition(":")[0], ())) for n in caches)


def taken_out(graph: Any) -> dict[str, Any]:
    """Take large arrays out of a graph, by the names of their nodes, which stay as placeholders.

    Those alone that a dataset reads: a variable would write into its array. Strings stay: an array
    of them is one of objects, which has no memory to be mapped.
    """
    import tensorflow as tf

    readers = _readers(graph)
    found = [
        node
        for node in graph.node
        if node.op == "Const"
        and node.attr["dtype"].type != tf.string.as_datatype_enum
        and len(node.attr["value"].tensor.tensor_content) > BESIDE_BYTES
        and all("Dataset" in op for op in readers[node.name])
    ]
    if sum(len(n.attr["value"].tensor.tensor_content) for n in found) <= LARGE_BYTES:
        return {}
    arrays = {}
    for node in found:
        arrays[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        del node.attr["value"]
        node.op = "Placeholder"
    return arrays


def _mapped(tf: Any, array: Any) -> Any:
    """A tensor over the memory of an array, where that is aligned as Ray aligns it."""
    return type(tf.constant(0))(array, device=CPU, dtype=None)
