"""What a Rerun recording holds, for tests of what writes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow
from rerun.chunk import RrdReader


def contents(path: Path) -> dict[str, dict[str, list]]:
    """Return the columns of every entity, those of its chunks one after the other."""
    return _entities(RrdReader(str(path)).stream())


def blueprints(path: Path) -> Iterator[dict[str, tuple[list[str], str]]]:
    """Yield the layouts: what each view shows, by its name, and the origin of its paths."""
    for entities in _layouts(path):
        yield {
            columns['ViewBlueprint:display_name'][0][0]: (
                entities[f'{view}/ViewContents']['ViewContents:query'][0],
                columns['ViewBlueprint:space_origin'][0][0],
            )
            for view, columns in entities.items()
            if 'ViewBlueprint:space_origin' in columns
        }


def eyes(path: Path) -> Iterator[dict[str, list[float]]]:
    """Yield from where views are looked at, for those of all layouts that say so."""
    for entities in _layouts(path):
        for view, columns in entities.items():
            if view.endswith('/EyeControls3D'):
                yield {
                    name.partition(':')[2]: values[0][0]
                    for name, values in columns.items()
                    if name.startswith('EyeControls3D:')
                }


def _layouts(path: Path) -> Iterator[dict[str, dict[str, list]]]:
    reader = RrdReader(str(path))
    for store in reader.blueprints():
        yield _entities(reader.stream(store=store))


def _entities(chunks: Iterable) -> dict[str, dict[str, list]]:
    entities: dict[str, dict[str, list]] = {}
    for chunk in chunks:
        columns = entities.setdefault(chunk.entity_path, {})
        batch = chunk.to_record_batch()
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if pyarrow.types.is_timestamp(values.type):
                values = values.cast(pyarrow.int64())  # nanoseconds
            columns.setdefault(name, []).extend(values.to_pylist())
    return entities
