"""What a Rerun recording holds, for tests of what writes one."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from rerun.chunk import RrdReader


def contents(path: Path) -> dict[str, dict[str, list]]:
    """Return the columns of every entity, those of its chunks one after the other."""
    entities: dict[str, dict[str, list]] = {}
    for chunk in RrdReader(str(path)).stream():
        columns = entities.setdefault(chunk.entity_path, {})
        batch = chunk.to_record_batch()
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if pyarrow.types.is_timestamp(values.type):
                values = values.cast(pyarrow.int64())  # nanoseconds
            columns.setdefault(name, []).extend(values.to_pylist())
    return entities
