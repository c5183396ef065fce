"""The shipped Fast DDS profile: depth images reach a best-effort subscriber."""

import os
from pathlib import Path
import subprocess
import sys
import xml.etree.ElementTree as ET

from depth_stream import FRAMES, PATIENCE
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / 'config' / 'fastdds.xml'
VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
STREAM = ROOT / 'test' / 'depth_stream.py'


def start(role, environment):
    return subprocess.Popen(
        [sys.executable, str(STREAM), role], env=environment, stdout=subprocess.PIPE, text=True
    )


def count_received(environment):
    receiver, sender = start('receive', environment), start('send', environment)
    try:
        output, _ = receiver.communicate(timeout=2 * PATIENCE)
        sender.wait(timeout=2 * PATIENCE)
    finally:
        receiver.kill()
        sender.kill()
        sender.communicate()
    return int(output)


@pytest.mark.skipif(
    os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp',
    reason='the profile is of Fast DDS',
)
def test_no_more_than_2_percent_of_a_depth_stream_are_lost(ros_domain_id):
    environment = {**os.environ, **dict.fromkeys(VARIABLES, str(PROFILE))}
    assert count_received(environment) >= 0.98 * FRAMES


def test_profile_is_the_default_one_and_has_room_for_depth_images():
    root = ET.parse(PROFILE).getroot()
    space = {'dds': root.tag[1:].partition('}')[0]}
    participant = root.find('.//dds:participant', space)
    assert participant.get('is_default_profile') == 'true'
    kinds = {
        each.find('dds:transport_id', space).text: each.find('dds:type', space).text
        for each in root.iterfind('.//dds:transport_descriptor', space)
    }
    assert sorted(kinds.values()) == ['SHM', 'UDPv4']
    used = [each.text for each in participant.iterfind('.//dds:userTransports/*', space)]
    assert sorted(used) == sorted(kinds)
    assert participant.find('.//dds:useBuiltinTransports', space).text == 'false'
    # Eight of the largest usual images, 1280x720 in metres, fit at once.
    assert int(root.find('.//dds:segment_size', space).text) >= 8 * 1280 * 720 * 4
