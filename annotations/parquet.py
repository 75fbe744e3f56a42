"""A table as a Parquet file whose types are those of the data dictionary, whatever is in it.

Types are not left to be guessed from the rows: a column that happens to be empty would lose its
own, and two exports of one study could not be read together.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from annotations.data_dictionary import Column, Kind

if TYPE_CHECKING:
    import pandas as pd


def parquet_is_there() -> bool:
    """Whether the library that writes Parquet is installed."""
    return find_spec("pyarrow") is not None


def parquet_bytes(table: pd.DataFrame, columns: Iterable[Column]) -> bytes:
    """The table as a file; each column carries what it means under the key `description`."""
    import pyarrow as pa  # noqa: PLC0415 (only who asks for Parquet needs it)
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema(
        [
            pa.field(one.name, _types(pa)[one.type], metadata={"description": one.meaning})
            for one in columns
        ]
    )
    content = io.BytesIO()
    # Without pandas' own notes, readers see the types of the schema and nothing else.
    found = pa.Table.from_pandas(table, schema, preserve_index=False)
    pq.write_table(found.replace_schema_metadata(None), content)
    return content.getvalue()


def _types(pa: Any) -> dict[Kind, Any]:
    return {
        Kind.TEXT: pa.string(),
        Kind.WHOLE: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.TIME: pa.timestamp("ms", tz="UTC"),
    }
