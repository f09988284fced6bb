"""DataConfig: which rows, which columns, which splits. Imports no torch, so that `--help` stays fast."""

from dataclasses import dataclass

from textmix.errors import ConfigError


@dataclass(frozen=True)
class DataConfig:
    """Which data is used and how it is split.

    Args:
        source: Training data: a csv, tsv, jsonl or parquet file, a list of them, a glob, a directory that
            `save_to_disk` of datasets has written, a hub id, or a built-in name (see `textmix datasets`).
        test_source: Test data, given like `source`; null means a stratified part of `source`, or the test split that
            the hub data set has.
        validation_source: Validation data, given like `source`; null means a stratified part of what is left.
        text_column: Column of the text; of two columns the second is the other sentence of a pair; further ones are
            appended to the second.
        label_column: Column of the class, as text or as an integer. There may be at most 10 000 classes, and beyond 100
            no more than half as many as training rows: otherwise the column holds something else.
        subset: Configuration of a hub data set, where it has several.
        test_fraction: Share of `source` that becomes the test split when there is none.
        validation_fraction: Share of what is left that becomes the validation split when there is none; 0 means that
            training goes without one.
        split_seed: Seed of the splits; null means `train.seed`.
        deduplicate: Remove repeated texts from the training split, and from each split those that a later one has
            (training, validation, test). Without it they are only reported.
        drop_missing: Leave out rows whose text or label is empty or missing, instead of stopping.
        max_train_samples: Train on a stratified sample of at most this many rows; null means all.
        folds: Number of folds that `source` is cut into, one of which becomes the test split; null means none.
            `textmix crossval` sets it for each of its runs.
        fold: Which of them becomes the test split, counted from 0.
        group_column: Column of `source` whose rows of the same value stay together: no group is in two of the splits
            made of `source`, whose shares are then the nearest 1/n to those asked for. Null means none.
    """

    source: str | list[str]
    test_source: str | list[str] | None = None
    validation_source: str | list[str] | None = None
    text_column: str | list[str] = "text"
    label_column: str = "label"
    subset: str | None = None
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    split_seed: int | None = None
    deduplicate: bool = False
    drop_missing: bool = False
    max_train_samples: int | None = None
    folds: int | None = None
    fold: int | None = None
    group_column: str | None = None

    def __post_init__(self) -> None:
        """Check every field and report all that is wrong at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong: list[str] = []
        if not self.source:
            wrong.append("data.source is empty")
        if not self.text_columns or self.label_column in self.text_columns:
            wrong.append("data.text_column must name at least one column, and none that is data.label_column")
        if not 0 < self.test_fraction < 1:
            wrong.append(f"data.test_fraction must lie between 0 and 1, not {self.test_fraction}")
        if not 0 <= self.validation_fraction < 1:
            wrong.append(f"data.validation_fraction must lie in [0, 1), not {self.validation_fraction}")
        if self.max_train_samples is not None and self.max_train_samples < 1:
            wrong.append(f"data.max_train_samples must be at least 1, not {self.max_train_samples}")
        if self.split_seed is not None and not 0 <= self.split_seed < 2**32:
            wrong.append(f"data.split_seed must lie in [0, 2**32), not {self.split_seed}")
        if self.group_column is not None and self.group_column == self.label_column:
            wrong.append("data.group_column must not be data.label_column")
        if wrong := [*wrong, *self._wrong_folds()]:
            raise ConfigError("; ".join(wrong))

    def _wrong_folds(self) -> list[str]:
        if self.folds is None:
            return [] if self.fold is None else ["data.fold needs data.folds, the number of folds"]
        wrong = []
        if self.folds < 2:
            wrong.append(f"data.folds must be at least 2, not {self.folds}")
        elif self.fold is None:
            wrong.append(f"data.folds needs data.fold, from 0 to {self.folds - 1}; textmix crossval trains all of them")
        elif not 0 <= self.fold < self.folds:
            wrong.append(f"data.fold must lie between 0 and {self.folds - 1}, not {self.fold}")
        if self.test_source is not None:
            wrong.append("data.folds makes the test split of data.source; leave out data.test_source")
        return wrong

    def seed(self, train_seed: int) -> int:
        """Return the seed of the splits: `split_seed`, or `train.seed` where it is null."""
        return train_seed if self.split_seed is None else self.split_seed

    @property
    def sources(self) -> list[str]:
        """All sources of data: paths, globs, hub ids and built-in names."""
        given = (self.source, self.test_source, self.validation_source)
        return [name for names in given if names for name in ([names] if isinstance(names, str) else names)]

    @property
    def text_columns(self) -> list[str]:
        """The text columns as a list."""
        return [self.text_column] if isinstance(self.text_column, str) else list(self.text_column)
