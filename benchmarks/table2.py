"""The paper's table 2 on the synthetic benchmark: refinement and epoch ensemble, off and on.

    .venv/bin/python benchmarks/table2.py --model runs/x/x_0001000.safetensors \
        --model runs/x/x_0002000.safetensors --refinement runs/refine/refine.safetensors

The models are those that a training with `keep_models: true` has left, the last one given stands
for the single model.  The network sees each frame once (`--passes 1`): a second pass would refine
the reference point by itself.  The paper's errors are those on NYU.

Results go to --out as JSON; rows that are there for the same models and frames are not measured
again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from v2v_pose_ros.models import find_model, read_info

PAPER = {(False, False): 11.14, (True, False): 9.22, (True, True): 8.42}
"""Mean error on NYU in millimetres with refinement or not, epoch ensemble or not."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', required=True, help='several: an ensemble')
    parser.add_argument('--refinement', help='a network that refines the reference point')
    parser.add_argument('--part', action='append', help='some parts of the benchmark')
    parser.add_argument('--every', type=int, default=1, help='use every n-th frame alone')
    parser.add_argument('--runtime', default='auto')
    parser.add_argument('--out', type=Path, default=Path('runs/table2.json'))
    options = parser.parse_args()
    rows: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    lines = [f'{"refinement":12}{"epoch ensemble":16}{"mean error":>12}{"paper":>10}']
    for ensemble in (False, True) if len(options.model) > 1 else (False,):
        for refined in (False, True) if options.refinement else (False,):
            command = [
                '--passes',
                '1',
                '--every',
                str(options.every),
                '--runtime',
                options.runtime,
            ]
            for part in options.part or ():
                command += ['--part', part]
            for model in options.model if ensemble else options.model[-1:]:
                command += ['--model', model]
            command += ['--refinement', options.refinement] if refined else []
            models = [value for value in command if value in (*options.model, options.refinement)]
            key = ' '.join([*command, *(read_info(find_model(name))[1][:8] for name in models)])
            if key not in rows:
                rows[key] = measure(command)
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(rows, indent=2) + '\n')
            paper = PAPER.get((refined, ensemble))
            lines.append(
                f'{"on" if refined else "off":12}{"on" if ensemble else "off":16}'
                f'{rows[key]["mean_mm"]:9.2f} mm' + (f'{paper:7.2f} mm' if paper else f'{"-":>10}')
            )
    print('\n'.join(lines))


def measure(arguments: list[str]) -> dict[str, Any]:
    """Return the figures of all frames of the synthetic benchmark."""
    script = Path(__file__).with_name('synthetic.py')
    command = [sys.executable, str(script), '--json', *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(output[output.index('{') :])['all']
    return figures


if __name__ == '__main__':
    main()
