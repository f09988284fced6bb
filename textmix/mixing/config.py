"""MixConfig: how training batches are mixed. No torch, so that `--help` stays fast."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import reduce
from typing import Any, Literal, get_args, get_origin

from textmix.errors import ConfigError, did_you_mean
from textmix.mixing.options import (
    AnyOptions,
    BatchOptions,
    CutMixOptions,
    ManifoldOptions,
    MultiOptions,
    check_names,
)
from textmix.mixing.registry import STRATEGIES


@dataclass(frozen=True)
class MixConfig:
    """How training batches are mixed.

    Options that belong to one strategy stand in the section with its name, given as a dict or an object:
    `MixConfig(strategy="manifold", manifold={"layers": [1]})`.

    Args:
        strategy: Name of a strategy (see `textmix strategies`); `none` for no mixing. Default: sentence, the mildest
            and cheapest; that of the commands is none (docs/defaults.md).
        alpha: λ ~ Beta(alpha, alpha), or Dirichlet for several partners. Default: 0.4, the upper end of the range that
            Zhang et al. 2018 found best.
        alpha_schedule: How alpha changes over the training run: `constant`, from 0 up to its value (`linear_in`,
            `cosine_in`) or from its value down to 0 (`linear_out`, `cosine_out`); at 0 nothing is blended.
        start: Share of the training run before which nothing is mixed.
        stop: Share of the training run from which on nothing is mixed.
        lam: How λ is drawn: `beta`, `uniform` on [0, 1], `fixed` (`lam_value`), or `similarity`: as `beta`, then warped
            for each row so that it blends strongly only with a partner whose mean embedding is close (after Bouniot et
            al. 2023).
        lam_value: λ when `lam` is `fixed`.
        similarity_max: τ_max of `similarity`: the strength of blending of a pair at the mean distance of the batch; its
            λ stays as drawn at 1, and is nearer to 1/2 above. Default: 1, as in the code of Bouniot et al. 2023.
        similarity_std: τ_std of `similarity`: the smaller it is, the more the strength depends on the distance.
            Default: 0.5, as in the code of Bouniot et al. 2023.
        fold_lam: Replace λ by max(λ, 1 - λ), so that a row always outweighs its partner (Berthelot et al. 2019,
            MixMatch). Default: false, as in Zhang et al. 2018. Alphas with and without folding are not comparable.
        per_sample: Draw one λ for each row instead of one for the batch. Default: false, as in the code of Zhang et
            al. 2018.
        probability: Share of training batches that are mixed; the others are trained on unchanged. Default: 1.
        partner: Which row a row is blended with: `random` (never itself), `same_class`, `other_class`, `nearest` and
            `farthest` (one of the `neighbours` nearest or farthest rows of the batch by mean embedding), `length` (the
            row closest in length: least padding), or `easy_hard` (the k-th easiest row of the batch by its loss with
            the k-th hardest; one more forward pass). A row without such a partner stays unmixed.
        neighbours: Number of rows among which `nearest` and `farthest` choose.
        padding: At a position where only some of the rows have a token: `zero` blends it with zero vectors (Guo et al.
            2019, who pad sentences with zero vectors), `copy` takes it unscaled. Default: zero.
        targets: `linear` weighs targets as inputs; `remix` gives the whole target to the rarer class where classes are
            unbalanced (Chou et al. 2020). `trust`, for noisy labels, blends each label with the model's probabilities
            the more, the less likely the model finds it (after Qiao et al. 2022, SelfMix, and Zheng et al. 2023, SE;
            one more forward pass).
        trust: Largest share of the model's probabilities in a target of `trust`, in (0, 1]. Default: 0.5.
        remix_kappa: Ratio of class sizes from which `remix` acts, at least 1. Default: 3 (Chou et al. 2020).
        remix_tau: λ below which `remix` acts. Default: 0.5 (Chou et al. 2020).
        regmix: η: also train on the clean rows, in the same forward pass, with loss clean + η · mixed (RegMixup, Pinto
            et al. 2022, who use 1); null trains on mixed rows alone. `auto` means 1 for a strategy that mixes sentence
            vectors only, where clean rows cost nothing and mixed rows alone lost accuracy (docs/defaults.md), else
            null.
        class_counts: Training rows of each class, for `remix`; null means that the trainer counts them.
        special_ids: Ids of special tokens, which are never cut; null means the special tokens of the tokenizer.
        manifold: Options of `manifold`.
        cutmix: Options of `cutmix`.
        multi: Options of `multi`.
        batch: Options of `batch`.
        any: Options of `any`.
    """

    strategy: str = "sentence"
    alpha: float = 0.4
    alpha_schedule: Literal["constant", "linear_in", "linear_out", "cosine_in", "cosine_out"] = "constant"
    start: float = 0.0
    stop: float = 1.0
    lam: Literal["beta", "uniform", "fixed", "similarity"] = "beta"
    lam_value: float = 0.5
    similarity_max: float = 1.0
    similarity_std: float = 0.5
    fold_lam: bool = False
    per_sample: bool = False
    probability: float = 1.0
    partner: Literal["random", "same_class", "other_class", "nearest", "farthest", "length", "easy_hard"] = "random"
    neighbours: int = 5
    padding: Literal["zero", "copy"] = "zero"
    targets: Literal["linear", "remix", "trust"] = "linear"
    trust: float = 0.5
    remix_kappa: float = 3.0
    remix_tau: float = 0.5
    regmix: float | Literal["auto"] | None = "auto"
    class_counts: list[int] | None = None
    special_ids: list[int] | None = None
    manifold: ManifoldOptions = field(default_factory=ManifoldOptions)
    cutmix: CutMixOptions = field(default_factory=CutMixOptions)
    multi: MultiOptions = field(default_factory=MultiOptions)
    batch: BatchOptions = field(default_factory=BatchOptions)
    any: AnyOptions = field(default_factory=AnyOptions)

    def __post_init__(self) -> None:
        """Convert sections given as dicts to objects, check every field, and report all errors at once.

        Raises:
            ConfigError: If a value is out of range or an option has no effect.
        """
        for name, kind in SECTIONS.items():
            given = getattr(self, name)
            if not isinstance(given, kind):
                object.__setattr__(self, name, _section(name, kind, given))
        wrong = [*self._wrong_words(), *self._wrong_numbers(), *without_effect(option_values(self)).values()]
        wrong += [f"mix.{name}.{problem}" for name in SECTIONS for problem in getattr(self, name).problems()]
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def progresses(self) -> bool:
        """Whether mixing depends on the progress of training."""
        return self.alpha_schedule != "constant" or self.start > 0 or self.stop < 1

    @property
    def names(self) -> list[str]:
        """The strategies that may be drawn: the choices of `any`, else the strategy itself."""
        return list(self.any.choices or {}) if self.strategy == "any" else [self.strategy]

    def _wrong_words(self) -> list[str]:
        wrong = [
            f"unknown mix.{option} '{name}'{did_you_mean(name, STRATEGIES)}"
            for option, names in [("strategy", [self.strategy]), ("any.choices", self.any.choices or ())]
            for name in names
            if name not in STRATEGIES
        ]
        for name, known in _WORDS.items():
            if getattr(self, name) not in known:
                wrong.append(f"mix.{name} must be one of {', '.join(known)}, not '{getattr(self, name)}'")
        if self.strategy == "any":
            chances = (self.any.choices or {}).values()
            if not all(0 <= chance < float("inf") for chance in chances) or not sum(chances) > 0:
                wrong.append("mix.strategy any needs mix.any.choices: strategies and their probabilities")
            elif "any" in self.names:
                wrong.append("mix.any.choices cannot hold 'any' itself")
        return wrong

    def _wrong_numbers(self) -> list[str]:
        wrong = [
            f"mix.{name} must lie in [0, 1], not {getattr(self, name)}"
            for name in ("lam_value", "probability", "start", "stop", "remix_tau")
            if not 0 <= getattr(self, name) <= 1
        ]
        for name in ("alpha", "similarity_max", "similarity_std"):
            if not 0 < getattr(self, name) < float("inf"):
                wrong.append(f"mix.{name} must be a number above 0, not {getattr(self, name)}")
        if not 0 < self.trust <= 1:
            wrong.append(f"mix.trust must lie in (0, 1], not {self.trust}")
        for name in ("neighbours", "remix_kappa"):
            if not 1 <= getattr(self, name) < float("inf"):
                wrong.append(f"mix.{name} must be at least 1, not {getattr(self, name)}")
        if self.start >= self.stop:
            wrong.append(f"mix.start must come before mix.stop, not {self.start} and {self.stop}")
        if isinstance(self.regmix, str) and self.regmix != "auto":
            wrong.append(f"mix.regmix must be a number, auto or null, not '{self.regmix}'")
        elif isinstance(self.regmix, int | float) and not 0 <= self.regmix < float("inf"):
            wrong.append(f"mix.regmix must not be below 0, but is {self.regmix}")
        if self.class_counts is not None and not (self.class_counts and min(self.class_counts) >= 0):
            wrong.append(f"mix.class_counts must be numbers of rows, not {self.class_counts}")
        return wrong


# The options of one strategy each, by its name.
SECTIONS: dict[str, Any] = {one.name: one.type for one in fields(MixConfig) if is_dataclass(one.type)}
# Defaults by dotted name, as in `manifold.layers`.
DEFAULTS: dict[str, Any] = {
    **{one.name: one.default for one in fields(MixConfig) if one.name not in SECTIONS},
    **{f"{section}.{one.name}": one.default for section, kind in SECTIONS.items() for one in fields(kind)},
}
_WORDS = {one.name: get_args(one.type) for one in fields(MixConfig) if get_origin(one.type) is Literal}

# Maps an option to the other option, and its values, that it needs to have an effect.
_ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "alpha_schedule": ("lam", ("beta", "similarity")),
    "lam_value": ("lam", ("fixed",)),
    "similarity_max": ("lam", ("similarity",)),
    "similarity_std": ("lam", ("similarity",)),
    "neighbours": ("partner", ("nearest", "farthest")),
    "cutmix.keep": ("cutmix.level", ("embeddings",)),
    "trust": ("targets", ("trust",)),
    "remix_kappa": ("targets", ("remix",)),
    "remix_tau": ("targets", ("remix",)),
}
# The options that decide whether others have an effect.
CONTROLS = ("strategy", *dict.fromkeys(other for other, _ in _ONLY_WITH.values()))


def option_values(config: MixConfig) -> dict[str, Any]:
    """Return the options by dotted name, as in `manifold.layers`."""
    parts = {name: name.split(".") for name in DEFAULTS}
    return {name: reduce(getattr, path, config) for name, path in parts.items()}


def from_values(values: Mapping[str, Any]) -> MixConfig:
    """Build a configuration from options by dotted name; the others keep their defaults."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, option = name.rpartition(".")
        if section:
            nested.setdefault(section, {})[option] = value
        else:
            nested[option] = value
    return MixConfig(**nested)


def without_effect(values: Mapping[str, Any]) -> dict[str, str]:
    """Find options that differ from their defaults but have no effect with the other options.

    Args:
        values: Options by dotted name; missing options have their defaults.

    Returns:
        Maps each of them to an error message.
    """
    return {
        option: f"mix.{option} {reason}"
        for option, reason in idle_options(values).items()
        if values.get(option, DEFAULTS[option]) != DEFAULTS[option]
    }


def idle_options(values: Mapping[str, Any]) -> dict[str, str]:
    """Find options that have no effect with the other options, whatever their value.

    Args:
        values: Options by dotted name; missing options have their defaults.

    Returns:
        Maps each of them to the reason.
    """
    values = {**DEFAULTS, **values}
    strategy = values["strategy"]
    drawn = {strategy, *((values["any.choices"] or {}) if strategy == "any" else ())}
    idle = {}
    if strategy in STRATEGIES:
        reason = f"has no effect with strategy '{strategy}'"
        idle = {option: reason for option in DEFAULTS if "." in option and option.split(".")[0] not in drawn}
    for option, (other, needed) in _ONLY_WITH.items():
        if values[other] not in needed:
            idle.setdefault(option, f"has an effect only with mix.{other} {' or '.join(needed)}")
    return idle


def mix_config(config: MixConfig | None, options: Mapping[str, Any]) -> MixConfig:
    """Return the configuration, or build one from keyword options.

    Raises:
        ConfigError: If both are given, or an option is unknown.
    """
    if config is not None:
        if not isinstance(config, MixConfig):
            raise ConfigError(f"give a MixConfig or its fields by name, as in strategy='word', not {config!r}")
        if options:
            raise ConfigError(f"give a MixConfig or its options, not both: {', '.join(options)}")
        return config
    check_names("option of mixing", options, MixConfig)
    return MixConfig(**options)


def _section(name: str, kind: Any, given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise ConfigError(f"mix.{name} takes its options by name, as in {asdict(kind())}, not {given!r}")
    check_names(f"option of mix.{name}", given, kind)
    return kind(**given)
