"""textmix: text classification with mixing. Public names are resolved on first use; importing this loads no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from textmix._registration_hook import register_when_transformers_loads

if TYPE_CHECKING:
    from textmix.attach import attach as attach
    from textmix.data.tokenization import special_ids as special_ids
    from textmix.errors import TextmixError as TextmixError
    from textmix.mixer import Mixer as Mixer
    from textmix.mixing.config import LossConfig as LossConfig
    from textmix.mixing.config import MixConfig as MixConfig
    from textmix.mixing.plan import MixPlan as MixPlan
    from textmix.mixing.strategies.base import Strategy as Strategy
    from textmix.mixing.strategies.base import register as register
    from textmix.models.bundled import resolve_model_path as resolve_model_path
    from textmix.models.encoder import MixupConfig as MixupConfig
    from textmix.models.encoder import MixupForSequenceClassification as MixupForSequenceClassification
    from textmix.models.textcnn import TextCNN as TextCNN
    from textmix.models.textcnn import TextCNNConfig as TextCNNConfig
    from textmix.prediction import Predictor as Predictor

_MODULES = {
    "LossConfig": "textmix.mixing.config",
    "MixConfig": "textmix.mixing.config",
    "MixPlan": "textmix.mixing.plan",
    "Mixer": "textmix.mixer",
    "MixupConfig": "textmix.models.encoder",
    "MixupForSequenceClassification": "textmix.models.encoder",
    "Predictor": "textmix.prediction",
    "Strategy": "textmix.mixing.strategies.base",
    "TextCNN": "textmix.models.textcnn",
    "TextCNNConfig": "textmix.models.textcnn",
    "TextmixError": "textmix.errors",
    "attach": "textmix.attach",
    "register": "textmix.mixing.strategies.base",
    "resolve_model_path": "textmix.models.bundled",
    "special_ids": "textmix.data.tokenization",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'textmix' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__


register_when_transformers_loads()
