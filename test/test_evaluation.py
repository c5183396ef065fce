"""Metrics against brute force, and result files in and out."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from v2v_pose_ros.datasets.tables import DatasetError
from v2v_pose_ros.evaluation.conventions import PROTOCOLS
from v2v_pose_ros.evaluation.evaluate import evaluate, method_names
from v2v_pose_ros.evaluation.metrics import (
    body_parts,
    error_by_angle,
    joint_errors,
    Scores,
    viewpoint,
)
from v2v_pose_ros.evaluation.report import to_json
from v2v_pose_ros.evaluation.results import align, read_results, write_json, write_results
from v2v_pose_ros.skeletons import BODY, MSRA

datasets = st.sampled_from(list(PROTOCOLS))
seeds = st.integers(0, 2**32 - 1)


def random_joints(name: str, seed: int, frames: int = 4) -> np.ndarray:
    generator = np.random.default_rng(seed)
    low, high = ([-1, -1, 1.5], [1, 1, 3.5]) if 'itop' in name else ([-0.2] * 3, [0.2] * 3)
    shift = 0 if 'itop' in name else np.array([0, 0, 0.6])
    return generator.uniform(low, high, (frames, len(PROTOCOLS[name].skeleton), 3)) + shift


@st.composite
def error_tables(draw):
    """Errors in whole millimetres, so that many lie exactly on a threshold."""
    frames, joints = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(seeds))
    return generator.integers(0, 60, (frames, joints)) / 1000


def test_distances_are_those_of_points():
    truth = np.zeros((1, 2, 3))
    found = np.array([[[0.003, 0, 0.004], [0, -0.002, 0]]])
    np.testing.assert_allclose(joint_errors(found, truth), [[0.005, 0.002]])


@given(error_tables())
def test_means_are_what_a_loop_finds(errors):
    scores = Scores(errors)
    frames, joints = errors.shape
    per_joint = [sum(errors[f][j] for f in range(frames)) / frames for j in range(joints)]
    np.testing.assert_allclose(scores.per_joint, per_joint)
    np.testing.assert_allclose(scores.mean, sum(per_joint) / joints)
    everything = sorted(errors.ravel())
    middle = len(everything) / 2 - 0.5
    median = (everything[math.floor(middle)] + everything[math.ceil(middle)]) / 2
    np.testing.assert_allclose(scores.median, median)
    assert scores.maximum == everything[-1]


@given(error_tables())
def test_success_rates_are_what_a_loop_counts(errors):
    scores = Scores(errors)
    thresholds = np.arange(85) / 1000
    for k, threshold in enumerate(thresholds):
        worst = sum(max(frame) <= threshold for frame in errors) / len(errors)
        mean = sum(np.mean(frame) <= threshold for frame in errors) / len(errors)
        single = sum(e <= threshold for e in errors.ravel()) / errors.size
        assert scores.success('max_frame', thresholds)[k] == pytest.approx(worst)
        assert scores.success('mean_frame', thresholds)[k] == pytest.approx(mean)
        assert scores.success('joint', thresholds)[k] == pytest.approx(single)


def test_an_error_equal_to_the_threshold_is_a_success():
    scores = Scores(np.full((2, 3), 0.02))
    assert list(scores.success('max_frame', [0.0199999, 0.02])) == [0, 1]
    assert Scores(np.full((2, 3), 0.1)).mean_average_precision() == 1


@given(error_tables(), st.sampled_from([0.02, 0.08]))
def test_the_area_is_that_under_the_curve(errors, limit):
    scores = Scores(errors)
    # Exact for a staircase with steps at whole millimetres: each tread is 1 mm wide.
    treads = scores.success('joint', np.arange(round(limit * 1000)) / 1000 + 0.0005)
    assert scores.auc('joint', limit) == pytest.approx(treads.mean())


@given(seeds)
def test_map_is_weighted_by_joints(seed):
    errors = np.random.default_rng(seed).uniform(0, 0.2, (7, len(BODY)))
    scores = Scores(errors)
    total = 0.0
    for joint in range(len(BODY)):
        total += sum(frame[joint] <= 0.1 for frame in errors) / len(errors)
    assert scores.mean_average_precision() == pytest.approx(total / len(BODY))
    parts = body_parts(BODY)
    weighted = sum(len(js) * scores.precision()[js].mean() for js in parts.values()) / len(BODY)
    assert scores.mean_average_precision() == pytest.approx(weighted)


def test_body_parts_are_the_rows_of_the_paper():
    parts = body_parts(BODY)
    assert list(parts) == [
        'head', 'neck', 'shoulders', 'elbows', 'hands', 'torso', 'hip', 'knees', 'feet'
    ]  # fmt: skip
    assert {name: len(joints) for name, joints in parts.items() if len(joints) == 1} == {
        'head': 1,
        'neck': 1,
        'torso': 1,
    }


@pytest.mark.parametrize(
    ('direction', 'yaw', 'pitch'),
    [
        ([0, -1, 0], 0, 0),  # fingers up
        ([0, 0, -1], 0, 90),  # fingers to the camera
        ([0, -1, -1], 0, 45),
        ([1, -1, 0], 45, 0),  # to the right
        ([-1, -1, 0], -45, 0),
        ([0, -1, 1], 0, -45),
    ],
)
def test_yaw_and_pitch_of_known_hands(direction, yaw, pitch):
    joints = np.zeros((1, 21, 3))
    joints[0, MSRA.index('middle_mcp')] = np.array(direction) * 0.09
    np.testing.assert_allclose(viewpoint(joints, MSRA), [[yaw], [pitch]], atol=1e-6)


@given(seeds)
def test_error_over_angles_is_what_a_loop_finds(seed):
    generator = np.random.default_rng(seed)
    errors, angles = generator.uniform(0, 1, (50, 3)), generator.uniform(-55, 55, 50)
    centres = np.arange(-40, 41, 2)
    found = error_by_angle(errors, angles, centres)
    for k, centre in enumerate(centres):
        chosen = [
            np.mean(frame)
            for frame, angle in zip(errors, angles, strict=True)
            if np.round(angle * 0.5) * 2 == centre
        ]
        np.testing.assert_allclose(found[k], np.mean(chosen) if chosen else np.nan)


@settings(deadline=None)
@given(datasets, st.sampled_from(['pixel', 'world', 'submission', 'json']), seeds)
def test_results_survive_a_file(tmp_path_factory, name, form, seed):
    protocol, joints = PROTOCOLS[name], random_joints(name, seed)
    path = tmp_path_factory.mktemp('results') / 'result'
    if form == 'json':
        write_json(path, joints, protocol.skeleton)
    elif form == 'submission':
        names = tuple(f'frame\\images\\image_D{k:08d}.png' for k in range(len(joints)))
        write_results(path, joints, protocol, 'world', names)
    else:
        write_results(path, joints, protocol, form)
    plain = None if form in ('json', 'submission') else form
    read = read_results(path, protocol, plain or 'world')
    np.testing.assert_allclose(read.joints, joints, atol=5e-6)
    if form == 'submission':
        assert read.names == names


def test_pixel_results_are_what_the_field_says(tmp_path):
    # 10 px right of and 20 px below the optical axis at 500 mm.
    for name, x, y in (
        ('icvl', 10 * 500 / 240.99, 20 * 500 / 240.96),
        ('nyu', 10 * 500 / 588.03, 20 * 500 / 587.07),
        ('msra', 10 * 500 / 241.42, 20 * 500 / 241.42),
    ):
        protocol = PROTOCOLS[name]
        u, v = protocol.camera.cx + 10, protocol.camera.cy + 20
        (tmp_path / 'r.txt').write_text(f'{u} {v} 500 ' * len(protocol.skeleton) + '\n')
        joints = read_results(tmp_path / 'r.txt', protocol).joints
        np.testing.assert_allclose(joints[0, 3] * 1000, [x, y, 500])


def test_world_results_point_up_where_the_dataset_does(tmp_path):
    path = tmp_path / 'r.txt'
    path.write_text('0.1 0.2 3 ' * 15)
    joints = read_results(path, PROTOCOLS['itop_front']).joints
    np.testing.assert_allclose(joints[0, 0], [0.1, -0.2, 3])
    path.write_text('image_D00000001.png\t' + '\t'.join(['100', '200', '300'] * 21))
    joints = read_results(path, PROTOCOLS['hands2017']).joints
    np.testing.assert_allclose(joints[0, 0], [0.1, 0.2, 0.3])


@settings(deadline=None)
@given(datasets, st.sampled_from(['pixel', 'world']), st.sampled_from(['pixel', 'world']), seeds)
def test_scores_do_not_depend_on_the_format(tmp_path_factory, name, form, truth_form, seed):
    folder, protocol = tmp_path_factory.mktemp('formats'), PROTOCOLS[name]
    truth, found = random_joints(name, seed), random_joints(name, seed + 1)
    write_results(folder / 'truth', truth, protocol, truth_form)
    write_results(folder / 'found', found, protocol, form)
    result = evaluate(name, folder / 'truth', [folder / 'found'], form=form, truth_form=truth_form)
    expected = np.mean([math.dist(p, q) for p, q in zip(
        truth.reshape(-1, 3), found.reshape(-1, 3), strict=True)])  # fmt: skip
    assert result.methods[0].scores.mean == pytest.approx(expected, abs=1e-5)


def good(name: str, frames: int = 3) -> list[str]:
    return ['100 110 400 ' * len(PROTOCOLS[name].skeleton)] * frames


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda lines: [], 'is empty'),
        (lambda lines: ['', '  '], 'is empty'),
        (lambda lines: lines[:2], r'has 2 frames; the ground truth .* has 3'),
        (lambda lines: [*lines, lines[0]], r'has 4 frames; the ground truth .* has 3'),
        (lambda lines: [lines[0], lines[1][:-5], lines[2]], ':2: the line has 47 numbers.* 48'),
        (lambda lines: [lines[0], lines[1] + ' 7', lines[2]], ':2: the line has 49 numbers.* 48'),
        (lambda lines: [lines[0] + ' 7', *lines[1:]], ':1: the line has 49 numbers.* 48'),
        (lambda lines: [lines[0], '', lines[2]], ':2: the line is empty'),
        (lambda lines: [*lines[:2], lines[2].replace('110', 'nan', 1)], ':3: number 2 is nan'),
        (lambda lines: [lines[0].replace('400', 'NaN', 1), *lines[1:]], ':1: number 3 is NaN'),
        (lambda lines: [*lines[:2], lines[2].replace('110', '-inf', 1)], ':3: number 2 is -inf'),
        (lambda lines: [lines[0], lines[1].replace('400', '4OO', 1)], ":2: '4OO', value 3"),
        (lambda lines: good('msra'), ':1: .*63 numbers, 21 joints .*hand, msra.*16 joints'),
        (lambda lines: good('nyu'), ':1: .*42 numbers, 14 joints .*nyu.*16 joints'),
        (lambda lines: ['1 2 3 ' * 5] * 3, ':1: .*15 numbers, 5 joints; .*16 joints'),
        (lambda lines: ['{"frames": ['], ':1: this is no JSON'),
        (lambda lines: ['[1, 2]'], 'has no frames'),
    ],
)
def test_files_that_cannot_be_scored_are_refused(tmp_path, change, words):
    truth, found = tmp_path / 'truth.txt', tmp_path / 'found.txt'
    truth.write_text('\n'.join(good('icvl')))
    found.write_text('\n'.join(change(good('icvl'))))
    with pytest.raises(DatasetError, match=words) as refusal:
        evaluate('icvl', truth, [found])
    assert str(found) in str(refusal.value)


def test_files_that_are_none_are_refused(tmp_path):
    truth, found = tmp_path / 'truth.txt', tmp_path / 'found.txt'
    truth.write_text('\n'.join(good('icvl')))
    with pytest.raises(DatasetError, match='there is no file'):
        evaluate('icvl', truth, [found])
    found.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DatasetError, match='cannot be read as text'):
        evaluate('icvl', truth, [found])
    with pytest.raises(DatasetError, match='cannot be read'):
        evaluate('icvl', tmp_path, [truth])
    with pytest.raises(DatasetError, match="no dataset 'mnist'"):
        evaluate('mnist', truth, [truth])
    with pytest.raises(DatasetError, match='2 names are given for 1 files'):
        evaluate('icvl', truth, [truth], ['a', 'b'])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda frame: frame['joints'].pop(), 'another joint set than icvl.*missing pinky_tip'),
        (lambda frame: frame['joints'][0].update(name='nose'), 'unknown are nose, missing palm'),
        (lambda frame: frame.update(joints=[]), 'frame 1 has no joints'),
        (lambda frame: frame.pop('joints'), 'frame 1 has no list of joints'),
        (lambda frame: frame['joints'][0].pop('position_m'), "without 'name' and 'position_m'"),
        (lambda frame: frame['joints'][0].update(position_m=[1, 2]), 'not three numbers'),
        (lambda frame: frame['joints'][2].update(position_m=[1, 2, math.nan]), 'of thumb_mid is'),
        (lambda frame: frame['joints'].append(frame['joints'][0]), '17 joints where 16'),
    ],
)
def test_json_that_cannot_be_scored_is_refused(tmp_path, change, words):
    path, protocol = tmp_path / 'found.json', PROTOCOLS['icvl']
    write_json(path, random_joints('icvl', 0), protocol.skeleton)
    document = json.loads(path.read_text())
    change(document['frames'][1])
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=words) as refusal:
        read_results(path, protocol)
    assert f'{path}: frame 1' in str(refusal.value)


def test_json_joints_may_come_in_any_order(tmp_path):
    path, protocol, joints = tmp_path / 'found.json', PROTOCOLS['nyu'], random_joints('nyu', 1)
    write_json(path, joints, protocol.skeleton)
    document = json.loads(path.read_text())
    for frame in document['frames']:
        frame['joints'].reverse()
    path.write_text(json.dumps(document))
    np.testing.assert_allclose(read_results(path, protocol).joints, joints, atol=1e-6)


def test_named_frames_are_matched_by_name(tmp_path):
    protocol, joints = PROTOCOLS['hands2017'], random_joints('hands2017', 3)
    names = tuple(f'image_D{k:08d}.png' for k in range(1, 5))
    order = [2, 0, 3, 1]
    shuffled = tuple(f'frame\\images\\{names[k]}' for k in order)
    write_results(tmp_path / 'truth', joints, protocol, names=names)
    write_results(tmp_path / 'found', joints[order], protocol, names=shuffled)
    truth = read_results(tmp_path / 'truth', protocol)
    np.testing.assert_array_equal(
        align(read_results(tmp_path / 'found', protocol), truth), truth.joints
    )
    for other, words in ((names[0], 'more than once'), ('x.png', 'has no frame image_D00000002')):
        replaced = (names[0], other, *names[2:])
        write_results(tmp_path / 'found', joints, protocol, names=replaced)
        with pytest.raises(DatasetError, match=words):
            align(read_results(tmp_path / 'found', protocol), truth)


def test_methods_are_told_apart(tmp_path):
    paths = [tmp_path / name for name in ('a/result.txt', 'b/result.txt', 'ours.txt')]
    assert method_names(paths) == ['a/result', 'b/result', 'ours']
    assert method_names([paths[0], paths[0]]) == ['a/result', 'a/result (2)']


def test_the_document_is_in_millimetres_and_fractions(tmp_path):
    protocol, truth = PROTOCOLS['itop_top'], random_joints('itop_top', 4, frames=2)
    found = truth.copy()
    found[:, :, 0] += 0.05
    found[1, 6, 2] += 0.12  # the right hand, to 13 cm
    write_results(tmp_path / 'truth', truth, protocol)
    write_results(tmp_path / 'found', found, protocol)
    document = to_json(evaluate('itop_top', tmp_path / 'truth', [tmp_path / 'found'], ['ours']))
    assert document['frames'] == 2
    assert not document['whole_test_set']
    (method,) = document['methods']
    assert method['name'] == 'ours'
    assert method['mean_error_mm'] == pytest.approx((29 * 50 + 130) / 30, abs=0.01)
    assert method['per_joint_mm']['right_hand'] == pytest.approx(90, abs=0.01)
    assert method['map_10cm'] == pytest.approx(29 / 30, abs=1e-6)
    assert method['body_parts_10cm']['hands'] == pytest.approx(0.75)
    assert method['precision_10cm']['right_hand'] == pytest.approx(0.5)
    place = method['success']['thresholds_mm'].index(100)
    assert method['success']['max_frame'][place] == pytest.approx(0.5)
    json.dumps(document, allow_nan=False)


def test_angles_without_frames_are_null_and_others_hold_the_error(tmp_path):
    protocol = PROTOCOLS['msra']
    truth = np.zeros((3, 21, 3)) + np.array([0, 0, 0.4])
    truth[:, MSRA.index('middle_mcp'), 1] -= 0.09  # fingers up: yaw 0, pitch 0
    write_results(tmp_path / 'truth', truth, protocol)
    write_results(tmp_path / 'found', truth + np.array([0, 0, 0.007]), protocol, 'world')
    found = evaluate(
        'msra', tmp_path / 'truth', [tmp_path / 'found'], form='world', truth_form='pixel'
    )
    (method,) = to_json(found)['methods']
    for angle in ('yaw', 'pitch'):
        curve = method[f'error_by_{angle}']
        at = dict(zip(curve['degrees'], curve['mean_error_mm'], strict=True))
        assert at.pop(0) == pytest.approx(7, abs=0.01)
        assert set(at.values()) == {None}
