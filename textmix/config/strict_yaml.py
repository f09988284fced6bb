"""Read YAML files of options; refuses files that make a parser hang or silently drop a value."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from textmix.errors import ConfigError

# A recipe with every option written out has a hundred values in 4 kB.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 1 << 18, 20_000, 50


class StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses repeated keys, more than `MOST_VALUES` values, and more than `MOST_LEVELS` levels.

    A value counts as often as aliases repeat it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # Number of values (the node included) and of levels of each complete node.
        self._extents: dict[Node, tuple[int, int]] = {}
        self._level = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose a node, or find the node of an alias."""
        self._level += 1
        if self._level > MOST_LEVELS:
            raise RecursionError
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is not None and alias and node not in self._extents:  # the alias refers to its own parent
            raise RecursionError
        if node is not None and not alias:
            self._extents[node] = self._extent(node)
        return node

    def _extent(self, node: Node) -> tuple[int, int]:
        parts: list[Node] = []
        if isinstance(node, MappingNode):
            _refuse_repeated_keys(node)
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            parts = node.value
        extents = [self._extents[part] for part in parts]
        values, levels = 1 + sum(extent[0] for extent in extents), 1 + max((extent[1] for extent in extents), default=0)
        if values > MOST_VALUES:
            raise ConfigError(f"more than {MOST_VALUES} values, counted as often as aliases repeat them")
        if levels > MOST_LEVELS:
            raise RecursionError
        return values, levels


def _refuse_repeated_keys(node: MappingNode) -> None:
    keys = Counter(key.value for key, _ in node.value if isinstance(key, ScalarNode) and key.value != "<<")
    for key, count in keys.items():
        if count > 1:
            raise ConfigError(f"'{key}' twice in the mapping that starts in line {node.start_mark.line + 1}")


def load_yaml(path: Path) -> Any:
    """Read a YAML file of options.

    Returns:
        Its content, None for an empty file.

    Raises:
        ConfigError: If it is not a file, too large, not UTF-8, not YAML, nested too deep, or has a key twice or too
            many values.
    """
    if not path.exists():
        raise ConfigError(f"config: File does not exist: {path}")
    if not path.is_file():  # a pipe or a device might never end
        raise ConfigError(f"config: {path} is not a file")
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError(f"config: {path} has {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)  # derived from SafeLoader
    except UnicodeDecodeError as error:
        raise ConfigError(f"config: {path} is not UTF-8: {error.reason}") from error
    except ConfigError as error:
        raise ConfigError(f"config: {path} has {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of dates and numbers
        raise ConfigError(f"config: cannot read {path}: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ConfigError(f"config: {path} is nested too deep, or contains itself") from None
