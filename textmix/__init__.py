"""textmix: text classification with mixing. Public names are imported on first use; `import textmix` loads no torch.

Importing a model class, `MixupCallback` or `Predictor` registers the models with transformers' Auto classes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textmix.errors import TextmixError as TextmixError
    from textmix.hooks.attach import attach as attach
    from textmix.hooks.special_tokens import special_ids as special_ids
    from textmix.inference.predictor import Predictor as Predictor
    from textmix.integrations.hf_trainer import MixupCallback as MixupCallback
    from textmix.integrations.hf_trainer import MixupTrainerMixin as MixupTrainerMixin
    from textmix.integrations.python import Training as Training
    from textmix.integrations.python import train as train
    from textmix.integrations.sklearn import MixupClassifier as MixupClassifier
    from textmix.integrations.sklearn import MixupRegressor as MixupRegressor
    from textmix.mixing.config import MixConfig as MixConfig
    from textmix.mixing.loss_config import LossConfig as LossConfig
    from textmix.mixing.mixer import Mixer as Mixer
    from textmix.mixing.mixer import MixObserver as MixObserver
    from textmix.mixing.plan import MixPlan as MixPlan
    from textmix.mixing.registry import register as register
    from textmix.mixing.strategy import Strategy as Strategy
    from textmix.models.auto import FastText as FastText
    from textmix.models.auto import FastTextConfig as FastTextConfig
    from textmix.models.auto import MixupEncoderConfig as MixupEncoderConfig
    from textmix.models.auto import MixupForSequenceClassification as MixupForSequenceClassification
    from textmix.models.auto import MixupForTokenClassification as MixupForTokenClassification
    from textmix.models.auto import TextCNN as TextCNN
    from textmix.models.auto import TextCNNConfig as TextCNNConfig
    from textmix.models.auto import TextRNN as TextRNN
    from textmix.models.auto import TextRNNConfig as TextRNNConfig
    from textmix.models.bundled import resolve_model_path as resolve_model_path

# The public names by module.
_NAMES = {
    "errors": ["TextmixError"],
    "hooks.attach": ["attach"],
    "hooks.special_tokens": ["special_ids"],
    "inference.predictor": ["Predictor"],
    "integrations.hf_trainer": ["MixupCallback", "MixupTrainerMixin"],
    "integrations.python": ["Training", "train"],
    "integrations.sklearn": ["MixupClassifier", "MixupRegressor"],
    "mixing.config": ["MixConfig"],
    "mixing.loss_config": ["LossConfig"],
    "mixing.mixer": ["MixObserver", "Mixer"],
    "mixing.plan": ["MixPlan"],
    "mixing.registry": ["register"],
    "mixing.strategy": ["Strategy"],
    "models.auto": [
        "FastText",
        "FastTextConfig",
        "MixupEncoderConfig",
        "MixupForSequenceClassification",
        "MixupForTokenClassification",
        "TextCNN",
        "TextCNNConfig",
        "TextRNN",
        "TextRNNConfig",
    ],
    "models.bundled": ["resolve_model_path"],
}
_MODULES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _MODULES:
        raise AttributeError(f"module 'textmix' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
