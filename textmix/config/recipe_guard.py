"""Look over a recipe before it is parsed, for what the parser would hang on, hide, or fail at without a clear word."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from textmix.errors import ConfigError

# A recipe with every option written out has a hundred values in 4 kB.
MOST_BYTES, MOST_VALUES, _DEEPEST = 1 << 18, 20_000, 50


def check_recipe(path: Path) -> None:
    """Check that a file can be a recipe; whether its options are right is the parser's to say.

    Raises:
        ConfigError: If it is no file, too large, not UTF-8, not YAML, nested too deep, has a key twice, or aliases that
            multiply.
    """
    if not path.exists():
        raise ConfigError(f"config: File does not exist: {path}")
    if not path.is_file():  # a pipe or a device might never end
        raise ConfigError(f"config: {path} is not a file")
    if path.stat().st_size > MOST_BYTES:
        raise ConfigError(f"config: {path} has {path.stat().st_size} bytes, a recipe has at most {MOST_BYTES}")
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if node is not None:
            count = sum(1 for _ in _walk(node))
            if count > MOST_VALUES:
                raise ConfigError(
                    f"config: {path} has more than {MOST_VALUES} values, counted as often as aliases repeat them"
                )
    except UnicodeDecodeError as error:
        raise ConfigError(f"the recipe is not UTF-8: {error.reason}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"Problems parsing config: {path}: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ConfigError(f"config: {path} is nested too deep, or within itself") from None


def _walk(node: Node) -> Iterator[Node]:
    """Yield every value as often as aliases repeat it, so far as needed to know that there are too many.

    Raises:
        ConfigError: If a mapping has a key twice.
    """
    count = 0
    waiting: list[tuple[Node, int]] = [(node, 0)]
    while waiting and count <= MOST_VALUES:
        node, depth = waiting.pop()
        count += 1
        if depth > _DEEPEST:
            raise RecursionError
        yield node
        if isinstance(node, MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, ScalarNode))
            repeated = [key for key, times in keys.items() if times > 1 and key != "<<"]
            if repeated:
                line = node.start_mark.line + 1
                raise ConfigError(f"the recipe has '{repeated[0]}' twice in the mapping that starts in line {line}")
            waiting += [(child, depth + 1) for pair in node.value for child in pair]
        elif isinstance(node, SequenceNode):
            waiting += [(child, depth + 1) for child in node.value]
