"""What the viewer is given arrives in its file, and nobody waits for it."""

import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
from recorded import depth_image, FakeEstimator, FakeSource, Types, usual_messages, write_recording
from rrd_files import blueprints, contents, eyes

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.recordings.jobs import Job, Options
from v2v_pose_ros.recordings.processing import process
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.subjects import name_subjects
from v2v_pose_ros.viewer.live import LiveViewer
from v2v_pose_ros.viewer.scene import occupied_cells, Scene
from v2v_pose_ros.viewer.sink import faded, Viewer, ViewerError

CAMERA = Camera(64, 48, 60, 60, 31.5, 23.5)
START = 1_700_000_000.0


def scene(number: int = 0, found: bool = True) -> Scene:
    depth = depth_image(number).astype(np.float32) / 1000
    skeletons = FakeEstimator()(depth, CAMERA).skeletons if found else ()
    subjects = name_subjects(skeletons, 'hand')
    stamp = START + number / 30
    return Scene(depth, CAMERA, subjects, stamp, {'crop': 0.002, 'network': 0.01})


@pytest.fixture
def written(tmp_path):
    with Viewer.to_file(tmp_path / 'scenes.rrd') as viewer:
        for number in range(4):
            viewer.show(scene(number, found=number != 2))
    return contents(tmp_path / 'scenes.rrd')


def test_everything_is_in_the_file_with_its_stamp(written):
    parts = [f'/subjects/hand/{part}' for part in ('bones', 'joints', 'names')]
    for path in (*parts, '/confidence/hand'):
        assert len(written[path]['stamp']) == 3, path
    for path in ('/cubes/hand', '/points/hand', '/occupancy/hand'):
        assert len(written[path]['stamp']) == 3 + 1, path  # and the one where it is cleared
    for path in ('/camera/depth', '/latency/network', '/latency/whole'):
        stamps = [stamp * 1e-9 for stamp in written[path]['stamp']]
        assert stamps == pytest.approx([START + n / 30 for n in range(4)], abs=1e-3)


def test_joints_are_where_they_were_found_and_have_their_names(written):
    (expected,) = scene(0).subjects
    joints = written['/subjects/hand/joints']
    np.testing.assert_allclose(joints['Points3D:positions'][0], expected.estimate.positions)
    assert joints['Points3D:labels'][0] == [f'{name} 0.90' for name in HAND.names]
    tips = [f'{finger} tip' for finger in ('thumb', 'index', 'middle', 'ring', 'pinky')]
    names = written['/subjects/hand/names']
    assert names['Points3D:labels'][0] == tips
    assert names['Points3D:show_labels'][0] == [True]
    strips = np.array(written['/subjects/hand/bones']['LineStrips3D:strips'][0])
    ends = expected.estimate.positions[np.array(HAND.bones)]
    np.testing.assert_allclose(strips, ends, atol=1e-6)


def test_depth_is_in_millimetres_as_a_camera_has_it(written):
    depth = written['/camera/depth']
    pixels = np.array(depth['DepthImage:buffer'][0], np.uint8).ravel().view(np.uint16)
    np.testing.assert_array_equal(pixels.reshape(48, 64), depth_image(0))
    assert np.ravel(depth['DepthImage:meter'])[0] == 1000
    assert np.ravel(written['/latency/whole']['Scalars:scalars'])[0] == pytest.approx(12.0)


def test_a_subject_that_left_is_cleared_once(written):
    for tree in ('subjects', 'cubes', 'points', 'occupancy'):
        assert np.ravel(written[f'/{tree}/hand']['Clear:is_recursive']).tolist() == [True]


def shown(query: list[str], origin: str, paths: set[str]) -> set[str]:
    """Return what a view shows: Rerun knows `/**` at the end of a filter and no other wildcard."""
    found = set()
    for rule in query:
        tree = rule.removeprefix('+ ').replace('$origin', f'/{origin}')
        assert tree.endswith('/**')
        assert '*' not in tree.removesuffix('/**'), rule
        stem = tree.removesuffix('/**')
        found |= {path for path in paths if path == stem or path.startswith(f'{stem}/')}
    return found


def test_the_views_show_what_is_drawn(written, tmp_path):
    drawn = {path for path in written if path.count('/') > 1 and not path.startswith('/__')}
    first, *_ = layouts = list(blueprints(tmp_path / 'scenes.rrd'))
    views = {name: shown(*view, drawn) for name, view in first.items()}
    skeleton = {f'/subjects/hand/{part}' for part in ('bones', 'joints', 'names')}
    assert skeleton | {'/camera/depth'} <= views['depth']
    assert not {'/cubes/hand', '/occupancy/hand'} & views['depth']
    assert (
        skeleton | {'/camera/depth', '/cubes/hand', '/points/hand'}
        <= views['skeletons and points']
    )
    assert skeleton | {'/occupancy/hand', '/cubes/hand'} <= views['occupancy grid']
    assert '/latency/whole' in views['time of every stage, ms']
    assert '/confidence/hand' in views['confidence']
    assert set().union(*views.values()) >= drawn
    assert all(layout == first for layout in layouts)


def test_the_first_subject_is_looked_at_from_the_camera_s_side(written, tmp_path):
    (expected,) = scene(0).subjects
    middle = expected.estimate.reference_point
    aimed = [eye for eye in eyes(tmp_path / 'scenes.rrd') if eye]
    assert aimed == [aimed[0]] * 2  # both views in space, and once: whoever watches may turn them
    position, target = (np.array(aimed[0][part]) for part in ('position', 'look_target'))
    np.testing.assert_allclose(target, middle, atol=1e-6)
    distance = np.linalg.norm(position - middle) / expected.estimate.cube_size
    assert 1 < distance < 3  # the cube fills the view, and all of it is seen
    assert position[2] < middle[2]
    assert aimed[0]['eye_up'] == [0, -1, 0]


def test_the_less_certain_a_joint_the_greyer_it_is():
    colors = np.array([[1.0, 0.0, 0.5, 1.0], [1.0, 0.0, 0.5, 0.2], [1.0, 0.0, 0.5, 0.0]])
    spread = np.ptp(faded(colors).astype(int), axis=1)
    assert faded(colors)[0].tolist() == [255, 0, 128]
    assert spread[0] > spread[1] > spread[2] == 0


def test_cells_are_occupied_where_there_are_points():
    # A cube of 0.4 m in 4 cells about the origin: cells from -0.2 m on, 0.1 m wide.
    points = np.array([[-0.2, 0.05, 0.05], [-0.15, 0.05, 0.05], [0.2, 0, 0], [0.0, 0.0, 0.1999]])
    cells = occupied_cells(points, np.zeros(3, np.float32), 0.4, 4)
    np.testing.assert_allclose(cells, [[-0.15, 0.05, 0.05], [0.05, 0.05, 0.15]], atol=1e-6)


def test_the_viewer_of_a_recording_shows_every_frame_also_after_an_interruption(tmp_path):
    source = write_recording(tmp_path / 'in', usual_messages(Types(), 8))

    def interrupt(progress):
        if progress.done == 5:
            raise KeyboardInterrupt

    job = Job(source, tmp_path / 'out', Options(FakeSource()), tmp_path / 'out.rrd')
    with pytest.raises(KeyboardInterrupt):
        process(job, interrupt)
    process(job)
    written = contents(tmp_path / 'out.rrd')
    assert len(written['/camera/depth']['stamp']) == 8
    assert len(written['/points/hand']['stamp']) == 8


class SlowViewer:
    """Draws when it is allowed to."""

    address = ''

    def __init__(self) -> None:
        self.stamps: list[float] = []
        self.began, self.allowed = threading.Event(), threading.Event()
        self.closed = False

    def show(self, shown: Scene) -> None:
        self.began.set()
        assert self.allowed.wait(10)
        self.stamps.append(shown.stamp)

    def close(self) -> None:
        self.closed = True


def test_nobody_waits_for_a_slow_viewer_and_the_newest_scene_wins():
    slow, scenes = SlowViewer(), [scene(number) for number in range(5)]
    live = LiveViewer(slow, warn=pytest.fail)
    live.show(scenes[0])
    assert slow.began.wait(10)
    begun = time.perf_counter()
    for each in scenes[1:]:
        live.show(each)
    # Handing over is a reference under a lock; 5 % of a 30 Hz frame are 1.7 ms.
    assert (time.perf_counter() - begun) / 4 < 0.0017
    slow.allowed.set()
    live.close()
    assert slow.stamps == [scenes[0].stamp, scenes[4].stamp]
    assert (live.shown, live.dropped) == (2, 3)
    assert slow.closed


def test_a_viewer_that_fails_is_said_once_and_disturbs_nobody():
    class Failing(SlowViewer):
        def show(self, shown):
            raise RuntimeError('no screen')

    said = []
    failing = Failing()
    live = LiveViewer(failing, warn=said.append)
    live.show(scene())
    live.close()
    live.show(scene())
    assert said == ['the viewer failed and shows nothing more: no screen']
    assert failing.closed


def test_a_page_is_served_without_a_screen(unused_port):
    with Viewer.serve(port=unused_port(), web=unused_port()) as viewer:
        viewer.show(scene())
        page = viewer.address.partition('?')[0]
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert b'html' in answer.read(2000).lower()


@pytest.fixture
def unused_port():
    import socket

    def port() -> int:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            return probe.getsockname()[1]

    return port


def test_other_names_than_rrd_are_refused(tmp_path):
    with pytest.raises(ViewerError, match=r'\.rrd is expected'):
        Viewer.to_file(tmp_path / 'scenes.mp4')


def test_without_rerun_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(ViewerError, match=r"pip install 'v2v_pose_ros\[viewer\]'"):
        Viewer.to_file(tmp_path / 'scenes.rrd')
