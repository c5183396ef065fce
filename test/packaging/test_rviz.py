"""What the RViz configurations name exists, and asks for what the node offers.

The properties are those in the sources of rviz_default_plugins (Jazzy, and what came later).
"""

from pathlib import Path
import re

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EVERY = {'Class', 'Name', 'Enabled', 'Value'}
CLOUD = {'Style', 'Size (Pixels)', 'Alpha', 'Color Transformer', 'Color'}
TOPIC = {'Topic'}
PROPERTIES = {
    'rviz_default_plugins/DepthCloud': CLOUD
    | {'Depth Map Topic', 'Depth Map Transport Hint', 'Color Image Topic', 'Topic Filter'}
    | {'Reliability Policy', 'Queue Size', 'Auto Size', 'Occlusion Compensation'}
    | {'CameraInfo Topic'},  # since 2026; before, it is the depth topic's sibling
    'rviz_default_plugins/PointCloud2': CLOUD | TOPIC,
    'rviz_default_plugins/MarkerArray': TOPIC,
    'rviz_default_plugins/TF': {'Show Axes', 'Show Names', 'Show Arrows', 'Marker Scale'}
    | {'Frame Timeout', 'Update Interval'},
    'rviz_default_plugins/PoseArray': TOPIC | {'Shape', 'Axes Length', 'Axes Radius'},
}
PUBLISHED = {
    'rviz_default_plugins/PointCloud2': '~/points',
    'rviz_default_plugins/MarkerArray': '~/markers',
    'rviz_default_plugins/PoseArray': '~/poses',
}


@pytest.fixture(params=['hand', 'body'])
def config(request):
    text = (ROOT / 'config' / f'{request.param}.rviz').read_text()
    return yaml.safe_load(text)['Visualization Manager']


def test_displays_have_the_properties_that_are_set(config):
    assert {display['Class'] for display in config['Displays']} == set(PROPERTIES)
    for display in config['Displays']:
        unknown = set(display) - EVERY - PROPERTIES[display['Class']]
        assert not unknown, (display['Name'], unknown)


def test_displays_ask_for_what_the_node_publishes(config):
    outputs = (ROOT / 'v2v_pose_ros' / 'ros' / 'outputs.py').read_text()
    published = re.findall(r"create_publisher\(\w+, '(~/\w+)', 1\)", outputs)  # reliable, volatile
    shown = {each['Class']: each['Topic'] for each in config['Displays'] if 'Topic' in each}
    for display, name in PUBLISHED.items():
        topic = shown.pop(display)
        assert name in published
        assert topic['Value'] == name.replace('~', '/v2v_pose')
        assert topic['Durability Policy'] == 'Volatile'
        assert topic['Reliability Policy'] in ('Reliable', 'Best Effort')
    assert not shown


def test_the_depth_cloud_takes_what_a_driver_offers(config):
    (cloud,) = (each for each in config['Displays'] if each['Class'].endswith('DepthCloud'))
    depth, info = Path(cloud['Depth Map Topic']), Path(cloud['CameraInfo Topic'])
    assert depth.parent == info.parent
    assert info.name == 'camera_info'
    assert cloud['Reliability Policy'] == 'Best effort'


def test_the_first_view_is_that_of_a_realsense_seen_from_behind_it(config):
    # realsense2_camera: <camera_name>_depth_optical_frame, and camera_name is camera.
    assert config['Global Options']['Fixed Frame'] == 'camera_depth_optical_frame'
    view = config['Views']['Current']
    assert view['Target Frame'] == '<Fixed Frame>'
    # Orbit: the eye is at the focal point + distance (cos yaw cos pitch, sin yaw cos pitch,
    # sin pitch); in the optical frame it has to be behind the subject (-z) and not below (y down).
    assert -1.57 < view['Pitch'] < -1.2
    assert view['Yaw'] == pytest.approx(4.712389, abs=1e-3)
    assert view['Focal Point']['Z'] > 0
