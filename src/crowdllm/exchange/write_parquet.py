"""Write Parquet: a row group per piece, texts dictionary-encoded, the marks also in the file's key-value metadata."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crowdllm.exchange.export_protocol import TABLES, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.response_rows import table_frames


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {f"crowdllm.{key}": str(value) for key, value in source.marks.values().items()}
    metadata |= {"crowdllm.title": source.study.title, "crowdllm.table": options.table}
    rows, writer, schema = 0, None, None
    try:
        for frame in table_frames(source, options):
            table = pa.Table.from_pandas(_with_texts_as_dictionaries(frame), preserve_index=False)
            if schema is None:
                schema = table.schema.with_metadata(metadata)
                writer = pq.ParquetWriter(folder / name, schema, compression="zstd")
            assert writer is not None
            writer.write_table(table.cast(schema))
            rows += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return Written((name,), rows)


def _with_texts_as_dictionaries(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as 32-bit codes, whatever their number, so that all pieces have one schema."""
    import pyarrow as pa

    out = frame.copy(deep=False)
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            code = column.cat.codes.to_numpy()
            words = pa.array([str(word) for word in column.cat.categories], type=pa.string())
            cells = pa.DictionaryArray.from_arrays(pa.array(code.astype("int32"), mask=code < 0), words)
            out[name] = pd.Series(pd.arrays.ArrowExtensionArray(cells), index=frame.index)
    return out


WRITER = Writer("parquet", "Parquet", (".parquet",), TABLES, write)
