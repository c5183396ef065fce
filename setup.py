"""Put the shipped model files, which live beside the package, into the wheel."""

from pathlib import Path
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithModels(build_py):
    """Copy ``models/`` to ``v2v_pose_ros/models`` of what is built, never of the source tree."""

    def run(self) -> None:
        """Build the modules, then add the models."""
        super().run()
        if not self.editable_mode:
            for source, target in self._model_files():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name all files that are built, the models among them."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        return outputs + [str(target) for _, target in self._model_files()]

    def _model_files(self) -> list[tuple[Path, Path]]:
        destination = Path(self.build_lib) / 'v2v_pose_ros' / 'models'
        sources = sorted((ROOT / 'models').glob('*.safetensors'))
        return [(source, destination / source.name) for source in sources]


setup(cmdclass={'build_py': BuildWithModels})
