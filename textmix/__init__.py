"""textmix: text classification with mixing. Public names are resolved on first use; importing this loads no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from textmix._registration_hook import register_when_transformers_loads

if TYPE_CHECKING:
    from textmix.errors import TextmixError as TextmixError
    from textmix.hooks.attach import attach as attach
    from textmix.hooks.special_tokens import special_ids as special_ids
    from textmix.inference.predictor import Predictor as Predictor
    from textmix.integrations.hf_trainer import MixupCallback as MixupCallback
    from textmix.integrations.hf_trainer import MixupTrainerMixin as MixupTrainerMixin
    from textmix.integrations.sklearn import MixupClassifier as MixupClassifier
    from textmix.mixing.config import MixConfig as MixConfig
    from textmix.mixing.loss_config import LossConfig as LossConfig
    from textmix.mixing.mixer import Mixer as Mixer
    from textmix.mixing.mixer import MixObserver as MixObserver
    from textmix.mixing.plan import MixPlan as MixPlan
    from textmix.mixing.registry import register as register
    from textmix.mixing.strategy import Strategy as Strategy
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
    "LossConfig": "textmix.mixing.loss_config",
    "MixConfig": "textmix.mixing.config",
    "MixPlan": "textmix.mixing.plan",
    "Mixer": "textmix.mixing.mixer",
    "MixupCallback": "textmix.integrations.hf_trainer",
    "MixupTrainerMixin": "textmix.integrations.hf_trainer",
    "MixObserver": "textmix.mixing.mixer",
    "MixupClassifier": "textmix.integrations.sklearn",
    "MixupConfig": "textmix.models.sequence_classifier",
    "MixupForSequenceClassification": "textmix.models.sequence_classifier",
    "MixupForTokenClassification": "textmix.models.token_classifier",
    "Predictor": "textmix.inference.predictor",
    "Strategy": "textmix.mixing.strategy",
    "TextCNN": "textmix.models.words.textcnn",
    "TextCNNConfig": "textmix.models.words.textcnn",
    "TextRNN": "textmix.models.words.textrnn",
    "TextRNNConfig": "textmix.models.words.textrnn",
    "TextmixError": "textmix.errors",
    "attach": "textmix.hooks.attach",
    "register": "textmix.mixing.registry",
    "resolve_model_path": "textmix.models.bundled",
    "special_ids": "textmix.hooks.special_tokens",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'textmix' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__


register_when_transformers_loads()
