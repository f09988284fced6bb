"""textmix: text classification with mixing. Public names are resolved on first use; importing this loads no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from textmix._registration_hook import register_when_transformers_loads

if TYPE_CHECKING:
    from textmix.data.tokenization import special_ids as special_ids
    from textmix.errors import TextmixError as TextmixError
    from textmix.hooks.attach import attach as attach
    from textmix.hooks.attach import mixing as mixing
    from textmix.inference.predictor import Predictor as Predictor
    from textmix.integrations.hf_trainer import MixupCallback as MixupCallback
    from textmix.integrations.sklearn import MixupClassifier as MixupClassifier
    from textmix.mixing.config import LossConfig as LossConfig
    from textmix.mixing.config import MixConfig as MixConfig
    from textmix.mixing.mixer import Mixer as Mixer
    from textmix.mixing.plan import MixPlan as MixPlan
    from textmix.mixing.strategies.base import Strategy as Strategy
    from textmix.mixing.strategies.base import register as register
    from textmix.models.bundled import resolve_model_path as resolve_model_path
    from textmix.models.sequence_classifier import MixupConfig as MixupConfig
    from textmix.models.sequence_classifier import MixupForSequenceClassification as MixupForSequenceClassification
    from textmix.models.token_classifier import MixupForTokenClassification as MixupForTokenClassification
    from textmix.models.words.fasttext import FastText as FastText
    from textmix.models.words.fasttext import FastTextConfig as FastTextConfig
    from textmix.models.words.textcnn import TextCNN as TextCNN
    from textmix.models.words.textcnn import TextCNNConfig as TextCNNConfig
    from textmix.models.words.textrnn import TextRNN as TextRNN
    from textmix.models.words.textrnn import TextRNNConfig as TextRNNConfig

_MODULES = {
    "FastText": "textmix.models.words.fasttext",
    "FastTextConfig": "textmix.models.words.fasttext",
    "LossConfig": "textmix.mixing.config",
    "MixConfig": "textmix.mixing.config",
    "MixPlan": "textmix.mixing.plan",
    "Mixer": "textmix.mixing.mixer",
    "MixupCallback": "textmix.integrations.hf_trainer",
    "MixupClassifier": "textmix.integrations.sklearn",
    "MixupConfig": "textmix.models.sequence_classifier",
    "MixupForSequenceClassification": "textmix.models.sequence_classifier",
    "MixupForTokenClassification": "textmix.models.token_classifier",
    "Predictor": "textmix.inference.predictor",
    "Strategy": "textmix.mixing.strategies.base",
    "TextCNN": "textmix.models.words.textcnn",
    "TextCNNConfig": "textmix.models.words.textcnn",
    "TextRNN": "textmix.models.words.textrnn",
    "TextRNNConfig": "textmix.models.words.textrnn",
    "TextmixError": "textmix.errors",
    "attach": "textmix.hooks.attach",
    "register": "textmix.mixing.strategies.base",
    "resolve_model_path": "textmix.models.bundled",
    "special_ids": "textmix.data.tokenization",
}

# A package that is its own function; see there.
_CALLABLE = "mixing"

__all__ = sorted([*_MODULES, _CALLABLE])


def __getattr__(name: str) -> Any:
    if name == _CALLABLE:
        return import_module("textmix.mixing")
    if name not in _MODULES:
        raise AttributeError(f"module 'textmix' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__


register_when_transformers_loads()
