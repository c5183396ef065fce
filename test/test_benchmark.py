"""What the benchmark says beside times: the least work of a network, and the machine."""

import importlib
from pathlib import Path

import pytest
import torch

from v2v_pose_ros.benchmark import count_work, processor_name
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet


def test_the_work_of_convolutions_is_counted_as_by_hand():
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 3, 5, padding=2),  # 8^3 voxels, 3 channels of 125 weights
        torch.nn.MaxPool3d(2),
        torch.nn.ConvTranspose3d(3, 2, 2, stride=2),  # 4^3 voxels of 3 channels, 2 x 8 weights
    )
    work = count_work(network, 8)
    assert work.multiplications == 8**3 * 3 * 125 + 4**3 * 3 * 2 * 8
    read = 8**3 + 3 * 125 + 3 * 4**3 + 3 * 2 * 8
    assert work.values == read + 3 * 8**3 + 2 * 8**3


def test_the_published_network_takes_the_work_that_the_page_states():
    work = count_work(V2VPoseNet(V2VConfig(21)), 88)
    assert work.multiplications / 1e9 == pytest.approx(36.4, abs=0.05)
    assert 2 * work.values / 1e6 == pytest.approx(206, abs=0.5)  # MB in half precision


def test_the_processor_has_its_name(tmp_path):
    information = tmp_path / 'cpuinfo'
    information.write_text('processor\t: 0\nmodel name\t: A Processor 9000\nmodel name\t: other\n')
    assert processor_name(information) == 'A Processor 9000'
    assert processor_name(tmp_path / 'missing')


def test_ratios_are_those_of_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / 'benchmarks')
    ratios = importlib.import_module('gpu').ratios
    document = {
        'published': {'ms': {'p50': 1.0}},
        'reference': {'ms': {'p50': 20.0}},
        'floor_published': {'arithmetic_ms': 0.1, 'memory_ms': 0.05},
    }
    expected = {'times_as_fast_as_the_reference': 20.0, 'times_the_floor': 10.0}
    assert ratios(document) == pytest.approx(expected)
    failed = {'failed': 'RuntimeError: out of memory'}
    assert ratios(document | {'published': failed}) == {}
    document.pop('reference')
    assert ratios(document | {'floor_published': failed}) == {}
