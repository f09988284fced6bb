"""The mathematics of mixing: what is drawn, how rows are blended, how blended targets are scored.

The package itself can be called: `with textmix.mixing(model, strategy="word"): ...` is `textmix.hooks.attach.mixing`.
"""

import sys
from contextlib import AbstractContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textmix.hooks.attach import AttachedMixer


class _CallablePackage(ModuleType):
    """A package and a function of one name.

    As soon as any module below it is imported, Python sets `textmix.mixing` to this package: a function of that name
    in `textmix` would be there or not, depending on what was imported before. So the package is both.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> "AbstractContextManager[AttachedMixer]":
        # Imported when called, and the only import against the direction of the layers.
        from textmix.hooks.attach import mixing

        return mixing(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
