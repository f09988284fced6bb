"""UnlabeledConfig: how rows without labels are trained on. Imports no torch, so that `--help` stays fast."""

from dataclasses import dataclass, field
from typing import Literal

from textmix.errors import ConfigError

Guess = Literal["model", "average", "ensemble", "spread"]
_GUESSES: list[Guess] = ["model", "spread"]
# Options of the steps.
_OF_STEPS = (
    *("batch_size", "labeled_batch_size", "learning_rate", "warmup_ratio", "views", "view", "view_rate", "sharpening"),
    *("align", "weighting", "threshold", "weight", "ramp", "ema_decay"),
)


@dataclass(frozen=True)
class UnlabeledConfig:
    """How rows without labels (`data.unlabeled`) are trained on, together with the labelled rows.

    Each step guesses the labels of some rows, and trains on them and on labelled rows, which are mixed as the section
    `mix` says: with the strategy `manifold` this is MixText (Chen et al. 2020), without mixing AdaMatch (Berthelot et
    al. 2022) or SoftMatch (Chen et al. 2023).

    Args:
        steps: Number of optimizer steps; 0 trains on no guesses and adapts the head alone. Default: 0, as 60 and 100
            steps gained nothing over that (docs/few_labels.md).
        max_rows: Number of rows that are used: of more, a random sample.
        batch_size: Unlabelled rows of a step.
        labeled_batch_size: Labelled rows of a step.
        learning_rate: Highest learning rate.
        warmup_ratio: Share of the steps over which the learning rate rises from zero.
        guesses: What guesses labels; of several, the mean. `model`: the model itself. `average`: the moving average of
            its weights (mean teacher, Tarvainen and Valpola 2017). `ensemble`: the moving average of its guesses for a
            row (temporal ensembling, Laine and Aila 2017). `spread`: labels spread among neighbours before the first
            step (Zhou et al. 2004).
        views: Number of passes with different dropout masks over which `model` and `average` average; 0 means one pass
            without dropout.
        view: How a row is changed before the model is trained on its guess: `none`, `cutoff` (some tokens are hidden,
            Shen et al. 2020), `mask` (some are replaced by the mask token), or `eda` (words are swapped and deleted,
            Wei and Zou 2019).
        view_rate: Share of the tokens or words that are changed.
        sharpening: Temperature of the guesses: below 1 they become surer (Berthelot et al. 2019).
        align: Multiply guesses by the ratio of the mean guesses for labelled and unlabelled rows (AdaMatch).
        weighting: How much a guess counts by its confidence: `none` (all the same), `threshold` (1 from `threshold` on,
            else 0), `class_threshold` (with lower thresholds for classes that are learnt slowly, FlexMatch, Zhang et
            al. 2021), or `soft` (less the further below the mean, SoftMatch).
        threshold: Confidence from which a guess counts.
        weight: Weight of the unlabelled rows; that of the labelled rows is 1.
        ramp: Share of the steps over which their weight rises from zero.
        ema_decay: Decay of the moving averages of guesses and weights.
        neighbours: Number of neighbours of a row in `spread`; the row itself is one of them.
        spread_alpha: Share of a row's spread label that comes from its neighbours, of labelled rows too. Default: 0.2,
            as in scikit-learn.
        share_prior: Adapt the head to the shares of the classes in the pool, which are estimated (Saerens et al. 2002);
            the shares in the labelled rows count for this number times as many rows as the pool has. Null keeps those.
            Default: 1; with 0.25 one draw of MR lost 6.5 points (docs/few_labels.md).
        fit_head: Before the first step, fit the head to the labelled rows and to the guesses of `spread`.
    """

    steps: int = 0
    max_rows: int = 5000
    batch_size: int = 48
    labeled_batch_size: int = 24
    learning_rate: float = 5e-5
    warmup_ratio: float = 0.1
    guesses: list[Guess] = field(default_factory=lambda: [*_GUESSES])
    views: int = 0
    view: Literal["none", "cutoff", "mask", "eda"] = "mask"
    view_rate: float = 0.15
    sharpening: float = 0.5
    align: bool = False
    weighting: Literal["none", "threshold", "class_threshold", "soft"] = "none"
    threshold: float = 0.95
    weight: float = 1.0
    ramp: float = 0.0
    ema_decay: float = 0.9
    neighbours: int = 15
    spread_alpha: float = 0.2
    share_prior: float | None = 1.0
    fit_head: bool = False

    def __post_init__(self) -> None:
        """Check all fields and report all errors at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = []
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < 2**31:
                wrong.append(f"unlabeled.{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("learning_rate", "sharpening"):
            if not 0 < getattr(self, name) < float("inf"):
                wrong.append(f"unlabeled.{name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup_ratio", "threshold", "ramp"):
            if not 0 <= getattr(self, name) <= 1:
                wrong.append(f"unlabeled.{name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("view_rate", "ema_decay", "spread_alpha"):
            if not 0 < getattr(self, name) < 1:
                wrong.append(f"unlabeled.{name} must lie between 0 and 1, not {getattr(self, name)}")
        if not 0 <= self.weight < float("inf"):
            wrong.append(f"unlabeled.weight must not be below 0, but is {self.weight}")
        if self.share_prior is not None and not 0 <= self.share_prior < float("inf"):
            wrong.append(f"unlabeled.share_prior must not be below 0, but is {self.share_prior}")
        if not self.guesses or len(set(self.guesses)) < len(self.guesses):
            wrong.append("unlabeled.guesses must name at least one guess, and none of them twice")
        idle = [name for name in _OF_STEPS if getattr(self, name) != getattr(type(self), name)]
        idle += ["guesses"] if self.guesses != _GUESSES and not self.fit_head else []
        if idle and not self.steps:
            given = ", ".join(f"unlabeled.{name}" for name in idle)
            wrong.append(f"without unlabeled.steps there is no effect of {given}; set the steps, to 60 for example")
        if self.fit_head and "spread" not in self.guesses:
            wrong.append("unlabeled.fit_head fits the head to spread labels: add spread to unlabeled.guesses")
        if wrong:
            raise ConfigError("; ".join(wrong))


_LEAST = {"steps": 0, "views": 0, "max_rows": 1, "batch_size": 1, "labeled_batch_size": 1, "neighbours": 2}
