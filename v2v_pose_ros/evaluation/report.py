"""An evaluation as a table for people and as JSON in millimetres and fractions."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, get_args

import numpy as np

from v2v_pose_ros.evaluation.evaluate import Evaluation, Method
from v2v_pose_ros.evaluation.metrics import Array, body_parts, Rate

THRESHOLDS_MM = np.arange(85)
"""Thresholds of success for hands: 0 to 84 mm (awesome-hand-pose-estimation)."""

BODY_THRESHOLDS_MM = np.arange(0, 301, 5)
"""Thresholds of success for whole bodies: 0 to 30 cm."""

AUC_LIMIT_MM = {False: 80, True: 300}
"""Up to where the area under success curves is taken: hands, whole bodies."""


def thresholds(evaluation: Evaluation) -> Array:
    """Return the thresholds of success in millimetres."""
    return (BODY_THRESHOLDS_MM if evaluation.protocol.people else THRESHOLDS_MM).astype(float)


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything as one document: millimetres, fractions in 0..1, degrees."""
    protocol = evaluation.protocol
    angles = evaluation.angle_curves()
    return {
        'dataset': protocol.convention.name,
        'ground_truth': str(evaluation.truth.path),
        'frames': evaluation.frames,
        'whole_test_set': protocol.test_set(evaluation.frames) is not None,
        'joints': list(protocol.skeleton.names),
        'methods': [
            {
                **_method(evaluation, method),
                **{
                    f'error_by_{angle}': {
                        'degrees': centres.tolist(),
                        'mean_error_mm': [_mm(value) for value in curves[index]],
                    }
                    for angle, (centres, curves) in angles.items()
                },
            }
            for index, method in enumerate(evaluation.methods)
        ],
    }


def _method(evaluation: Evaluation, method: Method) -> dict[str, Any]:
    protocol, scores = evaluation.protocol, method.scores
    limits, auc_limit = thresholds(evaluation), AUC_LIMIT_MM[protocol.people]
    names = protocol.skeleton.names
    rates: Sequence[Rate] = get_args(Rate)
    document: dict[str, Any] = {
        'name': method.name,
        'file': str(method.path),
        'mean_error_mm': _mm(scores.mean),
        'median_error_mm': _mm(scores.median),
        'max_error_mm': _mm(scores.maximum),
        'per_joint_mm': dict(zip(names, map(_mm, scores.per_joint), strict=True)),
        'success': {
            'thresholds_mm': limits.tolist(),
            **{rate: _fractions(scores.success(rate, limits / 1000)) for rate in rates},
        },
        'auc': {
            'limit_mm': auc_limit,
            **{rate: round(scores.auc(rate, auc_limit / 1000), 6) for rate in rates},
        },
        'parts': [
            {
                'name': name,
                'frames': chosen.stop - chosen.start,
                'mean_error_mm': _mm(scores.frames(chosen).mean),
            }
            for name, chosen in protocol.parts(evaluation.frames)
        ],
    }
    if protocol.people:
        precision = scores.precision()
        document['map_10cm'] = round(scores.mean_average_precision(), 6)
        document['precision_10cm'] = dict(zip(names, _fractions(precision), strict=True))
        document['body_parts_10cm'] = {
            part: round(float(precision[joints].mean()), 6)
            for part, joints in body_parts(protocol.skeleton).items()
        }
    return document


def _mm(metres: float) -> float | None:
    return None if math.isnan(metres) else round(float(metres) * 1000, 6)


def _fractions(values: Array) -> list[float]:
    return [round(float(value), 6) for value in values]


def format_report(evaluation: Evaluation) -> str:
    """Return tables for people: millimetres for hands, centimetres for whole bodies."""
    protocol = evaluation.protocol
    whole = protocol.test_set(evaluation.frames) is not None
    head = (
        f'{protocol.convention.title}: {evaluation.frames:,} frames'
        f'{" (the whole test set)" if whole else ""}, {len(protocol.skeleton)} joints'
    )
    blocks = _body_blocks(evaluation) if protocol.people else _hand_blocks(evaluation)
    if parts := protocol.parts(evaluation.frames):
        rows = [
            [method.name, *(f'{_mean(method, chosen):.2f}' for _, chosen in parts)]
            for method in evaluation.methods
        ]
        titles = [f'{name} ({part.stop - part.start:,})' for name, part in parts]
        blocks.insert(1, _table(['mean error (mm)', *titles], rows))
    return '\n\n'.join([head, *blocks])


def _mean(method: Method, chosen: slice) -> float:
    return 1000 * method.scores.frames(chosen).mean


def _hand_blocks(evaluation: Evaluation) -> list[str]:
    limits = (10, 20, 30, 40, 50)
    rows = [
        [
            method.name,
            f'{1000 * method.scores.mean:.3f}',
            f'{1000 * method.scores.median:.3f}',
            f'{1000 * method.scores.maximum:.2f}',
            *(
                f'{100 * share:.2f} %'
                for share in method.scores.success('max_frame', np.array(limits) / 1000)
            ),
            f'{method.scores.auc("max_frame", AUC_LIMIT_MM[False] / 1000):.4f}',
        ]
        for method in evaluation.methods
    ]
    columns = ['mean (mm)', 'median', 'max', *(f'<= {limit} mm' for limit in limits), 'AUC']
    note = (
        "mean: of the joints' mean errors;  <= t: frames whose worst joint is within t;  "
        f'AUC: area under that curve, 0 to {AUC_LIMIT_MM[False]} mm'
    )
    joints = _joint_table(
        evaluation, 'mean error (mm)', [1000 * m.scores.per_joint for m in evaluation.methods]
    )
    return [_table(['method', *columns], rows) + '\n' + note, joints]


def _body_blocks(evaluation: Evaluation) -> list[str]:
    methods = evaluation.methods
    rows = [
        [
            method.name,
            f'{100 * method.scores.mean:.2f}',
            f'{100 * method.scores.median:.2f}',
            f'{100 * method.scores.maximum:.1f}',
            f'{100 * method.scores.mean_average_precision():.2f} %',
        ]
        for method in methods
    ]
    columns = ['mean (cm)', 'median', 'max', 'mAP at 10 cm']
    parts = body_parts(evaluation.protocol.skeleton)
    precisions = [method.scores.precision() for method in methods]
    part_rows = [
        [part, *(f'{100 * precision[joints].mean():.2f}' for precision in precisions)]
        for part, joints in parts.items()
    ]
    part_rows.append(['mean of joints', *(f'{100 * value.mean():.2f}' for value in precisions)])
    names = [method.name for method in methods]
    joints = _joint_table(
        evaluation, 'mean error (cm)', [100 * method.scores.per_joint for method in methods]
    )
    return [
        _table(['method', *columns], rows),
        _table(['within 10 cm (%)', *names], part_rows),
        joints,
    ]


def _joint_table(evaluation: Evaluation, title: str, errors: list[Array]) -> str:
    rows = [
        [name, *(f'{error[index]:.2f}' for error in errors)]
        for index, name in enumerate(evaluation.protocol.skeleton.names)
    ]
    rows.append(['mean', *(f'{error.mean():.2f}' for error in errors)])
    return _table([title, *(method.name for method in evaluation.methods)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set columns side by side: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        '  '.join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return '\n'.join([lines[0], '-' * max(map(len, lines)), *lines[1:]])
