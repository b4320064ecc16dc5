"""What tells one graph from another: what it does, whatever its nodes and functions are called."""

import hashlib
from collections.abc import Iterable
from typing import Any

# Of a node: where it is, and names with numbers of this process.
NAMES = {"shared_name", "metadata", "_class"}
LARGE_BYTES = 1024  # text of a larger constant would take seconds


def checksum(graph: Any, structure: Any) -> str:
    """Of what a graph does: names, which TensorFlow counts through a process, have no part in it.

    A node goes by its place, a function by what it does.

    Args:
        graph: a `GraphDef`, which stays as it is.
        structure: the `element_spec` of its dataset: what its inputs are called is in no graph.
    """
    told = type(graph)()
    told.CopyFrom(graph)
    functions = _Functions(told.library.function)
    return _sha256([*functions.texts(told.node, _places(told.node)), repr(structure)])


class _Functions:
    """The functions of a graph, each by its checksum."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self._functions = {function.signature.name: function for function in functions}
        self._known: dict[str, str] = {}

    def sha256(self, name: str) -> str:
        """Of a function; one that is in no graph goes by its name."""
        if name not in self._functions:
            return name
        if name not in self._known:
            self._known[name] = f"function {len(self._known)}"  # where it calls itself
            self._known[name] = self._of(self._functions[name])
        return self._known[name]

    def _of(self, function: Any) -> str:
        signature = function.signature
        places = _places(signature.input_arg, "argument ") | _places(function.node_def)
        types = [part.type for part in signature.input_arg]
        nodes = self.texts(function.node_def, places)
        results = [_placed(function.ret[part.name], places) for part in signature.output_arg]
        controls = sorted(_placed(value, places) for value in function.control_ret.values())
        return _sha256([repr(types), *nodes, repr(results), repr(controls)])

    def texts(self, nodes: Any, places: dict[str, str]) -> list[str]:
        """Each node in words; `places` are of all that they may take."""
        return [self._text(node, places) for node in nodes]

    def _text(self, node: Any, places: dict[str, str]) -> str:
        attributes = []
        for name in sorted(node.attr.keys() - NAMES):
            value = node.attr[name]
            for function in (value.func, *value.list.func):
                if function.name:
                    function.name = self.sha256(function.name)
            content = value.SerializeToString(deterministic=True)
            large = len(content) > LARGE_BYTES
            attributes.append((name, _sha256([content]) if large else str(value)))
        inputs = [_placed(name, places) for name in node.input]
        return repr((node.op, inputs, node.device, attributes))


def _places(parts: Any, kind: str = "") -> dict[str, str]:
    return {part.name: f"{kind}{place}" for place, part in enumerate(parts)}


def _placed(name: str, places: dict[str, str]) -> str:
    """`name`, `^name` or `name:output:0` by its place."""
    name, colon, output = name.partition(":")
    control = "^" * name.startswith("^")
    return f"{control}{places[name.removeprefix('^')]}{colon}{output}"


def _sha256(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(b"%d " % len(content) + content)
    return digest.hexdigest()
