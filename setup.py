"""Put the models and the message definitions, which live beside the package, into the wheel."""

from pathlib import Path
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


SHARED = (('models', '*.safetensors', 'models'), ('msg', '*.msg', 'recordings/msg'))
"""Folder, files in it, and where they go in the package."""


class BuildWithData(build_py):
    """Copy shared files into the package that is built, never into the source tree."""

    def run(self) -> None:
        """Build the modules, then add the files."""
        super().run()
        if not self.editable_mode:
            for source, target in self._shared_files():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name all files that are built, those among them."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        return outputs + [str(target) for _, target in self._shared_files()]

    def _shared_files(self) -> list[tuple[Path, Path]]:
        package = Path(self.build_lib) / 'v2v_pose_ros'
        return [
            (source, package / target / source.name)
            for folder, pattern, target in SHARED
            for source in sorted((ROOT / folder).glob(pattern))
        ]


setup(cmdclass={'build_py': BuildWithData})
