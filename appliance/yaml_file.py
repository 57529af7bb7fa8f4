"""A YAML file as plain data that still knows on which line each key stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from appliance.errors import SettingsError

Place = tuple[str | int, ...]

_MAX_BYTES = 1_000_000


class _CoreLoader(yaml.SafeLoader):
    """Plain YAML 1.2 scalars only: `no`, `on`, dates and 1:30 stay text, and 1e3 is a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "null", "bool", "int", "float")}


@dataclass(frozen=True)
class Document:
    """What one file says.

    source: name for messages. data: plain dicts, lists and scalars. places: ("camera", "gain_db") → "line 12".
    """

    source: str
    data: dict[str, object]
    places: dict[Place, str]

    def where(self, place: Place) -> str:
        """The file and the line of `place`; of the nearest enclosing key, or a key inside it, when it has none."""
        for length in range(len(place), 0, -1):
            prefix = place[:length]
            if prefix in self.places:
                return self._named(self.places[prefix])
            inside = [at for known, at in self.places.items() if known[:length] == prefix]
            if inside:
                return self._named(inside[0])
        return self.source

    def _named(self, at: str) -> str:
        return at if at.startswith("--set") else f"{self.source}, {at}"


def read_yaml(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping. Raises SettingsError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file.", remedy="Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}).", remedy="Check the file and its rights.") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Document:
    """Parse YAML text. Raises SettingsError naming `source` and the line."""
    if len(text) > _MAX_BYTES:
        raise SettingsError(f"{source}: larger than {_MAX_BYTES} characters; this is no settings file.")
    try:
        loader = _CoreLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return Document(source, {}, {})
            reader = _Reader(loader, source)
            data = reader.value(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{source}{line}: this is not valid YAML ({error.problem or error.context}).") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{source}: this is not valid YAML ({error}).") from error
    if not isinstance(data, dict):
        raise SettingsError(f"{source}, line {root.start_mark.line + 1}: sections with keys are expected here.")
    return Document(source, data, reader.places)


class _Reader:
    def __init__(self, loader: _CoreLoader, source: str) -> None:
        self._loader = loader
        self._source = source
        self._open: list[yaml.Node] = []
        self.places: dict[Place, str] = {}

    def value(self, node: yaml.Node, place: Place) -> object:
        if any(node is parent for parent in self._open):
            raise self._error(node, "an alias refers to itself")
        if node.tag not in _PLAIN:
            raise self._error(node, f"{node.tag} has no place in a settings file")
        if isinstance(node, yaml.MappingNode):
            self._open.append(node)
            result: object = dict(self._pairs(node, place))
            self._open.pop()
            return result
        if isinstance(node, yaml.SequenceNode):
            self._open.append(node)
            result = [self._item(child, (*place, index)) for index, child in enumerate(node.value)]
            self._open.pop()
            return result
        return self._loader.construct_object(node)

    def _item(self, node: yaml.Node, place: Place) -> object:
        self.places[place] = _line(node)
        return self.value(node, place)

    def _pairs(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, object]]:
        seen: dict[str, str] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a single word")
            key = key_node.value
            if key in seen:
                raise self._error(key_node, f'"{key}" stands here a second time (first on {seen[key]})')
            seen[key] = _line(key_node)
            here: Place = (*place, key)
            self.places[here] = seen[key]
            yield key, self.value(value_node, here)

    def _error(self, node: yaml.Node, problem: str) -> SettingsError:
        return SettingsError(f"{self._source}, {_line(node)}: {problem}.")


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
