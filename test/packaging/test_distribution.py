"""What distributions have in other versions than PyPI."""

import sys
from types import ModuleType

import pytest

from v2v_pose_ros.cli import main


def test_training_says_that_the_distributions_pydantic_is_too_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = ModuleType('pydantic')  # version 1 has no Discriminator, for one
    for name in [name for name in sys.modules if name.startswith('v2v_pose_ros.training')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'pydantic', old)
    assert main(['train', 'experiment.yaml']) == 1
    assert 'training needs pydantic, or a newer one than is installed: pip install' in (
        capsys.readouterr().err
    )
