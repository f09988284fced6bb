"""Register textmix's models with transformers as soon as transformers loads its Auto classes, and not before.

Registering at `import textmix` would import torch and transformers, which takes seconds; registering in a function
would be one more thing to remember before `pipeline(...)` works.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_AUTO_CLASSES = "transformers.models.auto.modeling_auto"
# Each registers its classes when it is imported.
_MODELS = tuple(
    f"textmix.models.{name}"
    for name in ("sequence_classifier", "token_classifier", "words.textcnn", "words.textrnn", "words.fasttext")
)


class _RegisteringLoader(Loader):
    """Loads the module as its own loader would, then registers."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register()


class _AutoClassesFinder(MetaPathFinder):
    """Finds one module, the Auto classes, once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO_CLASSES:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


def _register() -> None:
    for name in _MODELS:
        import_module(name)


def register_when_transformers_loads() -> None:
    """Register now if the Auto classes are loaded already, else when they are."""
    if _AUTO_CLASSES in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AutoClassesFinder())
