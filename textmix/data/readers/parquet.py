"""Read parquet files page by page, whatever the size of their row groups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets.builder import Key
from datasets.packaged_modules.parquet.parquet import Parquet

from textmix.data.columns import stored_tables
from textmix.data.readers.common import STORED_AT_ONCE, check_width, escaped, file_stamp, opened

_BUFFER = 1 << 16


class PagedParquet(Parquet):  # type: ignore[misc]  # untyped
    """The parquet reader of datasets, which keeps a few pages of a file in memory instead of a row group.

    A row group may hold a million rows and more: 2 million short texts in two of them take 5 MB to read instead of 245.
    """

    def _generate_tables(self, files: list[str], row_groups_list: list[Any]) -> Iterator[tuple[Key, pa.Table]]:
        for number, file in enumerate(files):
            with Path(file).open("rb") as opened:
                parquet = pq.ParquetFile(opened, pre_buffer=False, buffer_size=_BUFFER)
                for place, batch in enumerate(parquet.iter_batches(STORED_AT_ONCE)):
                    yield Key(number, place), self._cast_table(pa.Table.from_batches([batch]))


def load_parquet(files: list[str]) -> Any:
    """Load files into one data set on disk.

    Args:
        files: Names of the files.

    Raises:
        DataError: If one has too many columns.
        pyarrow.ArrowInvalid: If texts are not UTF-8.
    """
    for file in files:
        with opened(file) as stream:
            check_width(file, len(pq.read_schema(stream)))
    builder = PagedParquet(config_name=file_stamp(files), data_files=escaped(files), writer_batch_size=STORED_AT_ONCE)
    builder.download_and_prepare()
    dataset = builder.as_dataset(split="train")
    # The reader lets bytes pass that are no text; reading such a cell would fail much later.
    for table in stored_tables(dataset, STORED_AT_ONCE):
        table.validate(full=True)
    return dataset
