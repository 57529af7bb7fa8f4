"""A graph that the steps of the rewrite change in place; it never leaves this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.generic]


class Graph:
    """Nodes and constants of one model, with the questions the steps ask.

    Every tensor is written once, so a name says which tensor is meant. Order of nodes is restored in `model()`.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self.nodes: list[onnx.NodeProto] = list(self._model.graph.node)
        self.constants: dict[str, Array] = {i.name: numpy_helper.to_array(i) for i in self._model.graph.initializer}
        for node in self.of("Constant"):
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                self.constants[node.output[0]] = numpy_helper.to_array(value)
                self.nodes.remove(node)
        self.outputs = {port.name for port in self._model.graph.output}
        self.metadata = {entry.key: entry.value for entry in self._model.metadata_props}
        self.inputs = {port.name: port for port in self._model.graph.input}
        self._taken = {name for node in self.nodes for name in (*node.input, *node.output)} | set(self.constants)

    def of(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """Nodes of these operators, as they are now; the graph may be changed while they are visited."""
        return iter([node for node in self.nodes if node.op_type in kinds])

    def maker(self, tensor: str) -> onnx.NodeProto | None:
        """The node that writes `tensor`; None for an input or a constant."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def users(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor`."""
        return [node for node in self.nodes if tensor in node.input]

    def only_for(self, tensor: str, kind: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor` if all are of this operator, there is one at least, and no output needs it."""
        users = self.users(tensor)
        return [] if tensor in self.outputs or any(user.op_type != kind for user in users) else users

    def constant(self, wanted: str, value: Array) -> str:
        """Add a constant; returns its name, `wanted` or one like it."""
        name = self.fresh(wanted)
        self.constants[name] = value
        return name

    def fresh(self, wanted: str) -> str:
        """A tensor name that is not taken yet."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def add(self, kind: str, inputs: Sequence[str], wanted: str, **attributes: object) -> str:
        """Add a node with one output; returns the output's name."""
        output = self.fresh(wanted)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def redirect(self, old: str, new: str, *, but: Sequence[onnx.NodeProto] = ()) -> None:
        """Whoever reads `old` reads `new` instead, except the nodes in `but`."""
        for node in self.nodes:
            if not any(node is kept for kept in but):
                for place, name in enumerate(node.input):
                    if name == old:
                        node.input[place] = new

    def remove(self, node: onnx.NodeProto) -> None:
        """Drop a node."""
        self.nodes = [other for other in self.nodes if other is not node]

    def model(self) -> onnx.ModelProto:
        """The graph as a model: nodes in order, nothing that nobody reads."""
        self._prune()
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        read = {name for node in self.nodes for name in node.input}
        constants = [numpy_helper.from_array(v, n) for n, v in self.constants.items() if n in read]
        old = self._model.graph
        result.graph.CopyFrom(helper.make_graph(self._ordered(), old.name, old.input, old.output, constants))
        return result

    def _prune(self) -> None:
        while True:
            read = {name for node in self.nodes for name in node.input} | self.outputs
            kept = [node for node in self.nodes if read.intersection(node.output)]
            if len(kept) == len(self.nodes):
                return
            self.nodes = kept

    def _ordered(self) -> list[onnx.NodeProto]:
        ready = {"", *self.constants, *self.inputs}
        waiting, ordered = self.nodes, []
        while waiting:
            later = []
            for node in waiting:
                if ready.issuperset(node.input):
                    ordered.append(node)
                    ready.update(node.output)
                else:
                    later.append(node)
            if len(later) == len(waiting):
                raise ValueError(f"{later[0].name} reads a tensor that nothing writes")
            waiting = later
        return ordered


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    """An attribute's value, or `default`."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def integers(node: onnx.NodeProto, name: str, default: Sequence[int]) -> list[int]:
    """An attribute that is a list of whole numbers, or `default`."""
    return next((list(a.ints) for a in node.attribute if a.name == name), list(default))
