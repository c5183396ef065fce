"""The command line: `v2v-pose`.

Human output by default, `--json` (one document on standard output) where a figure is asked for.
Exit codes: 0 done, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
from typing import Any

from v2v_pose_ros import __version__

PROGRAM = 'v2v-pose'


class CommandError(Exception):
    """A command failed for a reason that its user can understand."""


def _estimator_arguments(parser: argparse.ArgumentParser, model: str | None = None) -> None:
    """Add what makes an estimator; without a default model one has to be named."""
    group = parser.add_argument_group('model')
    group.add_argument(
        '--model',
        action='append',
        required=model is None,
        metavar='NAME',
        help='a shipped model or a .safetensors file; give it several times for an ensemble',
    )
    group.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    group.add_argument('--runtime', default='auto', choices=('auto', 'torch', 'openvino', 'onnx'))
    group.add_argument('--handedness', default='right', choices=('right', 'left'))
    group.add_argument(
        '--depth-range',
        nargs=2,
        type=float,
        default=(0.15, 1.5),
        metavar=('NEAR', 'FAR'),
        help='metres between which the subject is looked for (default: 0.15 1.5)',
    )
    group.add_argument(
        '--passes', type=int, default=2, help='how often the cube is re-centred (default: 2)'
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description='3D joint poses from depth images.')
    parser.add_argument('--version', action='version', version=f'{PROGRAM} {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    models = commands.add_parser('models', help='list the model files there are')
    models.add_argument('--json', action='store_true')
    models.set_defaults(run=_models)

    predict = commands.add_parser('predict', help='find the joints in depth images')
    _estimator_arguments(predict)
    predict.add_argument(
        '--camera',
        required=True,
        type=Path,
        metavar='camera.yaml',
        help='the calibration, as camera_calibration writes it',
    )
    predict.add_argument('--out', type=Path, metavar='FILE', help='write the joints as JSON')
    predict.add_argument('--overlay', type=Path, metavar='DIR', help='write overlay images')
    predict.add_argument('--json', action='store_true', help='print the joints as JSON')
    predict.add_argument(
        'frames',
        nargs='+',
        type=Path,
        metavar='FRAME.png',
        help='16-bit PNG, millimetres, 0 = no measurement',
    )
    predict.set_defaults(run=_predict)

    bench = commands.add_parser('bench', help='measure every stage on this machine')
    _estimator_arguments(bench, model='hand_lite')
    bench.add_argument('--frames', type=int, default=60, help='frames counted (default: 60)')
    bench.add_argument('--json', action='store_true')
    bench.set_defaults(run=_bench)

    synth = commands.add_parser('synth', help='write labelled synthetic depth frames')
    synth.add_argument('--subject', default='hand', choices=('hand',))
    synth.add_argument('--count', type=int, default=100, help='frames (default: 100)')
    synth.add_argument('--seed', type=int, default=0)
    synth.add_argument('out', type=Path, metavar='OUT', help='a folder that is new or empty')
    synth.set_defaults(run=_synth)

    evaluate = commands.add_parser('evaluate', help="score result files by the field's metrics")
    evaluate.add_argument(
        '--dataset',
        required=True,
        choices=('icvl', 'nyu', 'msra', 'hands2017', 'itop_front', 'itop_top'),
    )
    evaluate.add_argument('--ground-truth', required=True, type=Path, metavar='FILE')
    evaluate.add_argument(
        '--predictions',
        required=True,
        nargs='+',
        type=Path,
        metavar='FILE',
        help='a result file for each method, a frame a line, or JSON as predict writes it',
    )
    evaluate.add_argument(
        '--names', nargs='+', metavar='NAME', help='of the methods (default: their files)'
    )
    evaluate.add_argument(
        '--format',
        choices=('pixel', 'world'),
        help='u v d or x y z (default: what the dataset is published in)',
    )
    evaluate.add_argument(
        '--ground-truth-format', choices=('pixel', 'world'), help='where it is another one'
    )
    evaluate.add_argument('--json', action='store_true', help='millimetres and fractions')
    evaluate.add_argument(
        '--plot', type=Path, metavar='FILE', help='curves and bars as .pdf, .svg or .png'
    )
    evaluate.add_argument(
        '--draw', type=Path, metavar='DIR', help='write pictures of skeletons, frame by frame'
    )
    evaluate.add_argument(
        '--draw-count', type=int, default=8, metavar='N', help='how many (default: 8)'
    )
    evaluate.add_argument(
        '--data', type=Path, metavar='DIR', help="the dataset's folder, to draw on depth images"
    )
    evaluate.set_defaults(run=_evaluate)

    train = commands.add_parser('train', help='train a network from one YAML file')
    train.add_argument('config', type=Path, metavar='CONFIG.yaml')
    train.add_argument(
        '--out', type=Path, metavar='DIR', help='checkpoints, log and model (default: runs/NAME)'
    )
    train.add_argument('--device', default='auto')
    train.add_argument(
        '--minutes',
        type=float,
        metavar='M',
        help='stop after M minutes; the same command continues',
    )
    train.set_defaults(run=_train)

    _import_arguments(
        commands.add_parser(
            'import-weights', help='make a model file of weights trained elsewhere'
        )
    )

    export = commands.add_parser('export', help='write a network for another runtime')
    export.add_argument('model', metavar='MODEL', help='a shipped model or a .safetensors file')
    export.add_argument('--format', required=True, choices=('onnx', 'openvino', 'tensorrt'))
    export.add_argument(
        'out', type=Path, metavar='OUT', help='a .onnx, .xml or .engine file; its card goes beside'
    )
    export.set_defaults(run=_export)
    return parser


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'file', type=Path, metavar='IN', help="the authors' Torch7 file or a PyTorch state dict"
    )
    parser.add_argument('out', type=Path, metavar='OUT', help='the .safetensors file to write')
    parser.add_argument(
        '--skeleton',
        required=True,
        metavar='S',
        help='hand, body, icvl or nyu: the joints it finds',
    )
    parser.add_argument(
        '--joint-order',
        choices=('hands2017', 'icvl', 'itop', 'msra', 'nyu'),
        help="the data set it was trained on; needed for a hand's 21 joints",
    )
    parser.add_argument('--name', help="the model's name (default: the stem of OUT)")
    parser.add_argument(
        '--cube-size',
        type=float,
        metavar='M',
        help="metres (default: the data set's in the paper)",
    )
    parser.add_argument('--source', default='auto', choices=('auto', 'torch7', 'pytorch'))
    parser.add_argument(
        '--y-axis',
        choices=('up', 'down'),
        help="where y points in the volumes of the training (default: the data set's)",
    )
    parser.add_argument(
        '--grid', type=int, default=88, metavar='G', help='voxels per edge (default: 88)'
    )
    parser.set_defaults(run=_import_weights)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        run: Any = options.run
        run(options)
    except (CommandError, ValueError, OSError) as error:
        # Every error of this package that a user can cause is a ValueError with a full sentence.
        print(f'{PROGRAM} {options.command}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'\n{PROGRAM} {options.command}: interrupted', file=sys.stderr)
        return 130
    return 0


def _models(options: argparse.Namespace) -> None:
    from v2v_pose_ros.models import available_models, read_info

    rows: list[dict[str, Any]] = []
    for name, path in available_models().items():
        info, digest = read_info(path)
        rows.append(
            {
                'name': name,
                'kind': info.kind,
                'skeleton': info.skeleton,
                'cube_size_m': info.codec.get('cube_size'),
                'grid': info.codec.get('input_size'),
                'training': info.training,
                'errors': info.errors,
                'sha256': digest,
                'file': str(path),
                'bytes': path.stat().st_size,
            }
        )
    if options.json:
        print(json.dumps({'models': rows}, indent=2))
        return
    if not rows:
        raise CommandError('no model files were found; the package was installed without models/')
    for row in rows:
        grid = f', grid {row["grid"]}' if row['grid'] else ''
        print(
            f'{row["name"]}: {row["kind"]}, {row["skeleton"]}, cube {row["cube_size_m"]} m{grid}, '
            f'{row["bytes"] / 1e6:.1f} MB, sha256 {str(row["sha256"])[:12]}'
        )
        for section in ('training', 'errors'):
            values: Any = row[section]
            for key, value in values.items():
                print(f'    {key}: {value}')


def _load_estimator(options: argparse.Namespace) -> Any:
    from v2v_pose_ros.estimator import PoseEstimator

    return PoseEstimator.load(
        options.model or ['hand_lite'],
        device=options.device,
        runtime=options.runtime,
        depth_range=tuple(options.depth_range),
        handedness=options.handedness,
        passes=options.passes,
    )


def _predict(options: argparse.Namespace) -> None:
    import cv2

    from v2v_pose_ros.camera import Camera
    from v2v_pose_ros.frames import read_depth_png
    from v2v_pose_ros.overlay import add_status, color_depth, draw_skeletons

    camera = Camera.from_yaml(options.camera)
    estimator = _load_estimator(options)
    if options.overlay:
        options.overlay.mkdir(parents=True, exist_ok=True)
    frames, written = [], set[Path]()
    for path in options.frames:
        depth = read_depth_png(path, camera)
        estimate = estimator(depth, camera)
        found = estimate.skeletons[0] if estimate.skeletons else None
        joints = (
            []
            if found is None
            else [
                {
                    'name': name,
                    'position_m': [round(float(v), 5) for v in position],
                    'confidence': round(float(confidence), 4),
                }
                for name, position, confidence in zip(
                    found.skeleton.names, found.positions, found.confidences, strict=True
                )
            ]
        )
        frames.append({'file': str(path), 'found': found is not None, 'joints': joints})
        status = 'not found' if found is None else f'confidence {found.confidence:.2f}'
        if options.overlay:
            picture = draw_skeletons(color_depth(depth), camera, estimate.skeletons)
            target = _overlay_file(options.overlay, path, written)
            if not cv2.imwrite(str(target), add_status(picture, f'{path.name}  {status}')):
                raise CommandError(f'{target} cannot be written')
        if not options.json:
            print(f'{path}: {status}')
    document = json.dumps({'frames': frames}, indent=1)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(document + '\n')
    if options.json:
        print(document)


def _overlay_file(folder: Path, frame: Path, written: set[Path]) -> Path:
    """Return where a frame's overlay goes; frames of one name in several folders stay apart."""
    target, number = folder / f'{frame.stem}.png', 1
    while target in written:
        number += 1
        target = folder / f'{frame.stem}_{number}.png'
    written.add(target)
    return target


def _bench(options: argparse.Namespace) -> None:
    from v2v_pose_ros.benchmark import format_report, measure

    if options.frames < 1:
        raise CommandError(f'--frames is {options.frames}; at least one frame is needed')
    report = measure(lambda: _load_estimator(options), options.frames)
    print(json.dumps(report, indent=2) if options.json else format_report(report))


def _synth(options: argparse.Namespace) -> None:
    from v2v_pose_ros.synthesis.export import write_frames

    if options.count < 1:
        raise CommandError(f'--count is {options.count}; at least one frame is needed')
    write_frames(options.out, options.count, options.seed)
    print(f'{options.count} frames in {options.out}')


def _evaluate(options: argparse.Namespace) -> None:
    from v2v_pose_ros.evaluation.evaluate import evaluate
    from v2v_pose_ros.evaluation.report import format_report, to_json

    result = evaluate(
        options.dataset,
        options.ground_truth,
        options.predictions,
        options.names,
        options.format,
        options.ground_truth_format,
    )
    if options.plot:
        from v2v_pose_ros.evaluation.plots import plot

        plot(result, options.plot)
    if options.draw:
        from v2v_pose_ros.evaluation.drawings import draw_frames

        draw_frames(result, options.draw, options.draw_count, options.data)
    print(json.dumps(to_json(result), indent=1) if options.json else format_report(result))


def _train(options: argparse.Namespace) -> None:
    from v2v_pose_ros.training.config import load_config
    from v2v_pose_ros.training.trainer import train

    config = load_config(options.config)
    folder = options.out or Path('runs') / config.name
    finished = train(config, folder, options.device, options.minutes)
    print(f'{"finished" if finished else "stopped; the same command continues"}: {folder}')


def _import_weights(options: argparse.Namespace) -> None:
    from v2v_pose_ros.importing.weights import import_weights, write_model

    if options.out.suffix != '.safetensors':
        raise CommandError(f'{options.out} is no name of a model file; end it in .safetensors')
    network, info = import_weights(
        options.file,
        options.skeleton,
        name=options.name or options.out.stem,
        source=options.source,
        joint_order=options.joint_order,
        cube_size=options.cube_size,
        y_axis=options.y_axis,
        input_size=options.grid,
    )
    write_model(options.out, network, info)
    print(
        f'{options.out}: {info.skeleton}, {network.config.joints} joints, cube '
        f'{info.codec["cube_size"]} m, convention {info.codec["convention"]}, '
        f'{info.training["volumes"]}'
    )


def _export(options: argparse.Namespace) -> None:
    from v2v_pose_ros.exporting.export import export_model
    from v2v_pose_ros.models import load_model

    check = export_model(load_model(options.model), options.format, options.out)['check']
    print(
        f'{options.out}: the heatmaps differ from torch by {check["heatmap_difference"]:.1e}, the '
        f'joints by {check["joint_difference_mm"]:.5f} mm; {options.out.name}.json says how to '
        'use it'
    )


if __name__ == '__main__':
    sys.exit(main())
