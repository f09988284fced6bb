"""MixConfig and LossConfig: how to mix and how to score. Imports no torch, so that `--help` stays fast."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

from textmix.errors import ConfigError, did_you_mean
from textmix.mixing.strategies.base import STRATEGIES


@dataclass(frozen=True)
class MixConfig:
    """How training batches are mixed.

    Args:
        strategy: Name of a strategy (see `textmix strategies`); `none` for no mixing.
        alpha: λ ~ Beta(alpha, alpha), or Dirichlet for several partners. Default: 0.4, the upper end of the range that
            Zhang et al. 2018 found best.
        alpha_schedule: How alpha moves over the training run: `constant`, from 0 up to its value (`linear_in`,
            `cosine_in`) or from its value down to 0 (`linear_out`, `cosine_out`); at 0 nothing is blended.
        start: Share of the training run before which nothing is mixed.
        stop: Share of the training run from which on nothing is mixed.
        lam: How λ is drawn: `beta`, `uniform` on [0, 1], or `fixed` (`lam_value`).
        lam_value: λ when `lam` is `fixed`.
        fold: Replace λ by max(λ, 1 - λ), so that a row always outweighs its partner (Berthelot et al. 2019, MixMatch).
            Default: false, as in Zhang et al. 2018. Alphas with and without folding are not comparable.
        per_sample: Draw one λ for each row instead of one for the batch. Default: false, as in the code of Zhang et
            al. 2018.
        probability: Share of training batches that are mixed; the others are trained on as they are. Default: 1.
        partner: Who is blended with whom: `random` (never oneself), `same_class`, `other_class`, `nearest` and
            `farthest` (one of the `neighbours` nearest or farthest rows of the batch by mean embedding), or `length`
            (the row closest in length: least padding). A row that has no such partner stays as it is.
        neighbours: How many rows `nearest` and `farthest` choose among.
        padding: At a position where only some of the rows have a token: `zero` blends it with zero vectors (Guo et al.
            2019, who pad sentences with zero vectors), `copy` takes it unscaled. Default: zero.
        layers: Blocks after which `manifold` may blend, counted from 1, beside the embeddings; null means every
            block, as Verma et al. 2019 draw uniformly from all eligible layers.
        level: Where `cutmix` cuts: `tokens` (ids; works for every model) or `embeddings`.
        keep: Share of its own that a span keeps under `cutmix` at level `embeddings`: it becomes
            keep · own + (1 - keep) · partner. Default: 0, the span is replaced.
        rows: Rows that `multi` blends, a row itself among them; 2 is mixup. Default: 3.
        temperature: Divides the standard normal logits of `batch` before their softmax; larger is closer to the mean of
            the whole batch.
        choices: For `any`: strategies and their probabilities, which are scaled to sum to 1.
        targets: `linear` weighs targets as inputs; `remix` gives the whole target to the rarer class where classes are
            unbalanced (Chou et al. 2020).
        remix_kappa: Ratio of class sizes from which `remix` acts, at least 1. Default: 3 (Chou et al. 2020).
        remix_tau: λ below which `remix` acts. Default: 0.5 (Chou et al. 2020).
        regmix: η: train on the clean rows too, in the same forward pass, with loss clean + η · mixed (RegMixup, Pinto
            et al. 2022, who use 1); null trains on mixed rows alone.
        class_counts: Training rows of each class, for `remix`; null means that the trainer counts them.
        special_ids: Ids of special tokens, which are never cut; null means that the trainer asks the tokenizer.
    """

    strategy: str = "manifold"
    alpha: float = 0.4
    alpha_schedule: Literal["constant", "linear_in", "linear_out", "cosine_in", "cosine_out"] = "constant"
    start: float = 0.0
    stop: float = 1.0
    lam: Literal["beta", "uniform", "fixed"] = "beta"
    lam_value: float = 0.5
    fold: bool = False
    per_sample: bool = False
    probability: float = 1.0
    partner: Literal["random", "same_class", "other_class", "nearest", "farthest", "length"] = "random"
    neighbours: int = 5
    padding: Literal["zero", "copy"] = "zero"
    layers: list[int] | None = None
    level: Literal["tokens", "embeddings"] = "tokens"
    keep: float = 0.0
    rows: int = 3
    temperature: float = 1.0
    choices: dict[str, float] | None = None
    targets: Literal["linear", "remix"] = "linear"
    remix_kappa: float = 3.0
    remix_tau: float = 0.5
    regmix: float | None = None
    class_counts: list[int] | None = None
    special_ids: list[int] | None = None

    def __post_init__(self) -> None:
        """Check every field and report all that is wrong at once.

        Raises:
            ConfigError: If a value is out of its range or an option has no effect beside the others.
        """
        wrong = [*self._wrong_words(), *self._wrong_numbers(), *without_effect(vars(self)).values()]
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def progresses(self) -> bool:
        """Whether mixing depends on how far training has come."""
        return self.alpha_schedule != "constant" or self.start > 0 or self.stop < 1

    @property
    def names(self) -> list[str]:
        """The strategies that may be drawn: those of `choices` for `any`, else the one."""
        return list(self.choices or {}) if self.strategy == "any" else [self.strategy]

    def _wrong_words(self) -> list[str]:
        wrong = [
            f"unknown mix.{option} '{name}'{did_you_mean(name, STRATEGIES)}"
            for option, name in [("strategy", self.strategy), *(("choices", name) for name in self.choices or ())]
            if name not in STRATEGIES
        ]
        for name, known in _WORDS.items():
            if getattr(self, name) not in known:
                wrong.append(f"mix.{name} must be one of {', '.join(known)}, not '{getattr(self, name)}'")
        if self.strategy == "any":
            chances = (self.choices or {}).values()
            if not all(0 <= chance < float("inf") for chance in chances) or not sum(chances) > 0:
                wrong.append("mix.strategy any needs mix.choices: strategies and their probabilities")
            elif "any" in self.names:
                wrong.append("mix.choices cannot hold 'any' itself")
        return wrong

    def _wrong_numbers(self) -> list[str]:
        wrong = []
        for name in ("lam_value", "probability", "start", "stop", "keep", "remix_tau"):
            if not 0 <= getattr(self, name) <= 1:
                wrong.append(f"mix.{name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("alpha", "temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                wrong.append(f"mix.{name} must be a number above 0, not {getattr(self, name)}")
        for name, least in (("neighbours", 1), ("rows", 2), ("remix_kappa", 1)):
            if not least <= getattr(self, name) < float("inf"):
                wrong.append(f"mix.{name} must be at least {least}, not {getattr(self, name)}")
        if self.start >= self.stop:
            wrong.append(f"mix.start must come before mix.stop, not {self.start} and {self.stop}")
        if self.regmix is not None and not 0 <= self.regmix < float("inf"):
            wrong.append(f"mix.regmix must not be below 0, but is {self.regmix}")
        if self.layers is not None and (
            not self.layers or min(self.layers) < 1 or len(set(self.layers)) < len(self.layers)
        ):
            wrong.append(f"mix.layers must be distinct block numbers from 1 on, not {self.layers}")
        if self.class_counts is not None and not (self.class_counts and min(self.class_counts) >= 0):
            wrong.append(f"mix.class_counts must be numbers of rows, not {self.class_counts}")
        return wrong


_WORDS = {field.name: get_args(field.type) for field in fields(MixConfig) if get_origin(field.type) is Literal}

# Option -> the option, and its values, beside which alone it means something.
_ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "alpha_schedule": ("lam", ("beta",)),
    "lam_value": ("lam", ("fixed",)),
    "neighbours": ("partner", ("nearest", "farthest")),
    "keep": ("level", ("embeddings",)),
    "remix_kappa": ("targets", ("remix",)),
    "remix_tau": ("targets", ("remix",)),
}
# The options on which it depends whether others have an effect.
CONTROLS = ("strategy", *dict.fromkeys(other for other, _ in _ONLY_WITH.values()))


def without_effect(options: Mapping[str, Any]) -> dict[str, str]:
    """Find options that differ from their defaults but mean nothing beside the others.

    Args:
        options: Options of `MixConfig` by name; those that are missing have their defaults.

    Returns:
        For each of them, what is wrong with it.
    """
    defaults = {field.name: field.default for field in fields(MixConfig)}
    return {
        option: f"mix.{option} {reason}"
        for option, reason in idle_options(options).items()
        if options.get(option, defaults[option]) != defaults[option]
    }


def idle_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Find options that mean nothing beside the others, whatever their value.

    Args:
        options: Options of `MixConfig` by name; those that are missing have their defaults.

    Returns:
        For each of them, why not.
    """
    values = {**{field.name: field.default for field in fields(MixConfig)}, **options}
    strategy = values["strategy"]
    idle: dict[str, str] = {}
    if strategy in STRATEGIES:
        drawn = [strategy, *((values["choices"] or {}) if strategy == "any" else ())]
        used = {option for name in drawn if name in STRATEGIES for option in STRATEGIES[name].options}
        owners: dict[str, list[str]] = {}
        for owner in STRATEGIES.values():
            for option in owner.options:
                owners.setdefault(option, []).append(owner.name)
        for option, names in owners.items():
            if option not in used:
                idle[option] = f"has no effect with strategy '{strategy}'; it belongs to {', '.join(names)}"
    for option, (other, needed) in _ONLY_WITH.items():
        if values[other] not in needed:
            idle.setdefault(option, f"has an effect only with mix.{other} {' or '.join(needed)}")
    return idle


@dataclass(frozen=True)
class LossConfig:
    """How logits are scored against targets, mixed or not.

    Args:
        label_smoothing: ε: a target becomes (1 - ε) · target + ε / C (Szegedy et al. 2016); for multi-label
            (1 - ε) · target + ε / 2.
        class_weights: Weight of the rows of each class, or `balanced`: rows / (classes · rows of the class) of the
            training split, where classes without a row do not count. The weighted losses are averaged over rows, not
            divided by the sum of weights, so that accumulated batches add up to one large batch.
        focal_gamma: γ of the focal loss (Lin et al. 2017): each log-probability is scaled by (1 - p)^γ; 0 turns it off.
    """

    label_smoothing: float = 0.0
    class_weights: list[float] | Literal["balanced"] | None = None
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        """Check every field and report all that is wrong at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = []
        if not 0 <= self.label_smoothing < 1:
            wrong.append(f"loss.label_smoothing must lie in [0, 1), not {self.label_smoothing}")
        if not 0 <= self.focal_gamma < float("inf"):
            wrong.append(f"loss.focal_gamma must not be below 0, but is {self.focal_gamma}")
        weights = self.class_weights
        if isinstance(weights, str) and weights != "balanced":
            wrong.append(f"loss.class_weights must be numbers or 'balanced', not '{weights}'")
        if isinstance(weights, list) and (not weights or not all(0 <= weight < float("inf") for weight in weights)):
            wrong.append(f"loss.class_weights must not be below 0, but are {weights}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def is_plain(self) -> bool:
        """Whether it is the plain cross-entropy, binary cross-entropy or squared error."""
        return self == LossConfig()


def mix_config(config: MixConfig | None, options: dict[str, Any]) -> MixConfig:
    """Take a ready configuration or make one of options, but not both.

    Raises:
        ConfigError: If both are given, or an option is unknown.
    """
    if config is not None:
        if options:
            raise ConfigError(f"give a MixConfig or its options, not both: {', '.join(options)}")
        return config
    known = [field.name for field in fields(MixConfig)]
    for name in options:
        if name not in known:
            raise ConfigError(f"unknown option of mixing '{name}'{did_you_mean(name, known)}")
    return MixConfig(**options)
