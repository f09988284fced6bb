"""DataConfig: which rows and columns are used, and how they are split. Imports no torch: `--help` stays fast."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from textmix.data.readers.names import ZIP, ending
from textmix.data.reading import Format, Reading
from textmix.errors import ConfigError, did_you_mean

# The options of files, which new rows share with the data of a run.
READING_OPTIONS = ("encoding", "delimiter", "columns", "format", "field")
# In the place of a source: the rows of `data.source` that have no label.
UNLABELED_ROWS = "empty"
# Further options that say how rows are read.
_ROW_OPTIONS = ("text_column", "label_column", "label_separator", "lowercase_labels", "unknown_labels")


@dataclass(frozen=True)
class DataConfig:
    """The data of a run and its splits.

    Args:
        source: Training data: a csv, tsv, json, jsonl, parquet, xlsx or txt file, a list of them, a glob, a zip file
            with one of them, a directory (of parquet files, with a folder of text files for each class, or that
            `save_to_disk` of datasets has written), a hub id, or a built-in name (see `textmix datasets`).
        test_source: Test data, given like `source`; null means a stratified part of `source`, or the test split of a
            data set that has one.
        validation_source: Validation data, given like `source`; null means a stratified part of the remaining rows, or
            the validation split of a data set that has one.
        unlabeled: Rows without labels that few labelled rows are trained with, given like `source`, or `empty`: the
            rows of `source` without a label. Their labels are not read. Null means none.
        label_descriptions: Texts that describe classes, as in `{sports: games and athletes}`, or `names`, the names of
            the classes: each is a further labelled row of the contrastive warm-up. A name without a letter describes
            nothing. Null means none.
        text_column: Column of the text. A second column holds the second sentence of a pair; further columns are
            appended to it.
        label_column: Column of the label: of the class, as text or as an integer; of a list of labels or of their names
            joined by `label_separator`; of a number. Several columns hold a 0/1, a number or a probability each: see
            `task`. At most 10 000 classes are allowed; more than 100 classes must not be more than half as many as
            training rows.
        label_separator: What separates the names of several labels in a cell, such as `|`.
        lowercase_labels: Convert labels to lower case, so that those that differ in case alone are one.
        unknown_labels: What to do with rows of another split or file whose labels training never saw: stop with an
            `error`, `skip` the rows, or count them as `wrong` (single_label alone).
        subset: Configuration of a hub data set that has several.
        encoding: Encoding of the files, such as `utf-8`, `cp1252` or `gbk`; `auto` finds it.
        delimiter: The character between two cells of csv and tsv files, or `tab`; null: a tab in tsv files; in csv
            files a comma, a semicolon, a tab or a `|`, as the first rows show.
        columns: Names of the columns of files without a header, as in `text,label`.
        format: Format of files whose names do not tell it; `text` is one text a line.
        field: Where the rows of a JSON document are, as a dotted name; the sheet of an xlsx file.
        test_fraction: Share of `source` used as the test split if there is no other; 0 means no test split.
        validation_fraction: Share of the remaining rows used as the validation split if there is no other; 0 means no
            validation split.
        split_seed: Seed of the splits; null means `train.seed`.
        deduplicate: Remove repeated texts from the training split, and from each split the texts that a later one
            contains (order: training, validation, test). Otherwise they are only reported.
        drop_missing: Leave out rows with an empty or missing text or label, instead of stopping with an error.
        max_train_samples: Train on a stratified sample of at most this many rows; null means all rows.
        shots: Keep this many rows of each class, drawn by the seed of the splits before a validation split is made of
            them; the labels of the others are not used. For experiments with few labels; null keeps all rows.
        folds: Number of folds of `source`, one of which is the test split; null means no folds. `textmix crossval`
            sets it for each of its runs.
        fold: Fold used as the test split, counted from 0.
        group_column: Column of `source` that names the group of a row. No group is in two of the splits made of
            `source`; their shares are then the nearest 1/n to the requested ones. Null means no groups.
    """

    source: str | list[str]
    test_source: str | list[str] | None = None
    validation_source: str | list[str] | None = None
    unlabeled: str | list[str] | None = None
    label_descriptions: dict[str, str] | Literal["names"] | None = None
    text_column: str | list[str] = "text"
    label_column: str | list[str] = "label"
    label_separator: str | None = None
    lowercase_labels: bool = False
    unknown_labels: Literal["error", "skip", "wrong"] = "error"
    subset: str | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    columns: str | list[str] | None = None
    format: Format | None = None
    field: str | None = None
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    split_seed: int | None = None
    deduplicate: bool = False
    drop_missing: bool = False
    max_train_samples: int | None = None
    shots: int | None = None
    folds: int | None = None
    fold: int | None = None
    group_column: str | None = None

    def __post_init__(self) -> None:
        """Check all fields and report all errors at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = self.reading.wrong()
        if not self.source:
            wrong.append("data.source is empty")
        if self.unlabeled is not None and not self.unlabeled:
            wrong.append("data.unlabeled is empty; null means no rows without labels")
        if isinstance(self.label_descriptions, dict):
            blank = [name for name, text in self.label_descriptions.items() if not text.strip()]
            wrong += [f"data.label_descriptions has no text for '{name}'; leave it out" for name in blank]
        if not self.text_columns or set(self.label_columns) & set(self.text_columns):
            wrong.append("data.text_column must name at least one column, and must not include data.label_column")
        if not self.label_columns or len(set(self.label_columns)) < len(self.label_columns):
            wrong.append("data.label_column must name at least one column, and none of them twice")
        if self.label_separator is not None and (not self.label_separator or len(self.label_columns) > 1):
            wrong.append("data.label_separator must not be empty, and needs a single data.label_column")
        for name in ("test_fraction", "validation_fraction"):
            if not 0 <= getattr(self, name) < 1:
                wrong.append(f"data.{name} must lie in [0, 1), not {getattr(self, name)}")
        for name in ("max_train_samples", "shots"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                wrong.append(f"data.{name} must be at least 1, not {getattr(self, name)}")
        if self.max_train_samples is not None and self.shots is not None:
            wrong.append("data.shots and data.max_train_samples both choose training rows; leave one out")
        if self.split_seed is not None and not 0 <= self.split_seed < 2**32:
            wrong.append(f"data.split_seed must lie in [0, 2**32), not {self.split_seed}")
        if self.group_column is not None and self.group_column in self.label_columns:
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
            wrong.append(f"data.folds needs data.fold, from 0 to {self.folds - 1}; textmix crossval trains all folds")
        elif not 0 <= self.fold < self.folds:
            wrong.append(f"data.fold must lie between 0 and {self.folds - 1}, not {self.fold}")
        if self.test_source is not None:
            wrong.append("data.folds takes the test split from data.source; leave out data.test_source")
        return wrong

    def seed(self, train_seed: int) -> int:
        """Return the seed of the splits: `split_seed`, or `train.seed` where it is null."""
        return train_seed if self.split_seed is None else self.split_seed

    @property
    def has_test_split(self) -> bool:
        """Whether a test split is asked for."""
        return self.test_source is not None or self.folds is not None or self.test_fraction > 0

    def descriptions(self, names: list[str]) -> dict[str, str]:
        """Return the texts that describe classes, by class; a class may have none.

        Args:
            names: The classes.

        Raises:
            ConfigError: If a description is of no class.
        """
        given = self.label_descriptions
        if given is None:
            return {}
        if isinstance(given, str):
            words = {name: re.sub(r"[\s_./|:-]+", " ", name).strip() for name in names}
            return {name: text for name, text in words.items() if any(map(str.isalpha, text))}
        if unknown := [name for name in given if name not in names]:
            raise ConfigError(
                f"data.label_descriptions describes '{unknown[0]}', which is no class{did_you_mean(unknown[0], names)}"
            )
        return dict(given)

    @property
    def sources(self) -> list[str]:
        """All sources of data: paths, globs, hub ids and built-in names."""
        pool = None if self.unlabeled == UNLABELED_ROWS else self.unlabeled
        given = (self.source, self.test_source, self.validation_source, pool)
        return [name for names in given if names for name in ([names] if isinstance(names, str) else names)]

    @property
    def reading(self) -> Reading:
        """How the sources are read."""
        used = [*self.text_columns, *self.label_columns, *([self.group_column] if self.group_column else [])]
        given = {name: getattr(self, name) for name in READING_OPTIONS}
        return Reading.of(self.subset, **given).with_nested(used)

    def reading_options(self, source: str | list[str]) -> dict[str, Any]:
        """Return the options of reading for new rows that belong to this data.

        Args:
            source: The new rows. If its name tells a format, that one holds.
        """
        known = ending(source if isinstance(source, str) else source[0])
        told = {"format": None} if known not in ("", ".txt", ZIP) else {}
        return {name: getattr(self, name) for name in READING_OPTIONS} | told

    def of_source(self, source: str | list[str], **given: Any) -> "DataConfig":
        """Return the options for another source that is read like this data.

        Args:
            source: The other source.
            **given: Options that differ.
        """
        shared = {name: getattr(self, name) for name in _ROW_OPTIONS} | self.reading_options(source)
        return DataConfig(source=source, **{**shared, **given})

    @property
    def text_columns(self) -> list[str]:
        """The text columns as a list."""
        return [self.text_column] if isinstance(self.text_column, str) else list(self.text_column)

    @property
    def label_columns(self) -> list[str]:
        """The label columns as a list."""
        return [self.label_column] if isinstance(self.label_column, str) else list(self.label_column)
