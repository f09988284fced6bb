"""Fields inside of Arrow structs as columns with dotted names."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def with_nested(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Add columns for fields inside of structs.

    Args:
        table: N rows.
        names: Dotted names, such as `doc.body`. Those that are columns already, or lead to no field, change nothing.
    """
    for name in names:
        parent, *path = name.split(".")
        if name in table.column_names or parent not in table.column_names or not path:
            continue
        kind = table.schema.field(parent).type
        for key in path:
            place = kind.get_field_index(key) if pa.types.is_struct(kind) else -1
            kind = kind.field(place).type if place >= 0 else None
            if kind is None:
                break
        else:
            table = table.append_column(name, pc.struct_field(table.column(parent), path))
    return table
