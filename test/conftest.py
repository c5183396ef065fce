"""What several tests use: an isolated ROS domain, and the folder with real data."""

from collections.abc import Iterator
import fcntl
import os
from pathlib import Path
import tempfile

import pytest

from v2v_pose_ros.ros.processes import remove_dead_segments

DOMAIN_IDS = range(1, 102)  # 0 is everybody's; above 101 the ports overlap with ephemeral ones


@pytest.fixture
def ros_domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Reserve a ROS domain that no other test on this machine uses, and put it in the environment.

    The reservation is a lock on a file under /tmp, so that it also holds between test runs of
    several checkouts and ends with the process.
    """
    directory = Path(tempfile.gettempdir()) / 'ros_domain_ids'
    directory.mkdir(mode=0o777, exist_ok=True)
    first = os.getpid() % len(DOMAIN_IDS)  # a domain just left may still have participants
    for domain in [*DOMAIN_IDS[first:], *DOMAIN_IDS[:first]]:
        descriptor = os.open(directory / str(domain), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        remove_dead_segments()  # of processes that tests have killed
        yield domain
        os.close(descriptor)
        return
    pytest.fail(f'All ROS domains are in use; tests hold locks on files in {directory}.')


@pytest.fixture(scope='session')
def test_data() -> Path:
    """Return the folder with real data, or skip the test where there is none."""
    folder = os.environ.get('V2V_POSE_TEST_DATA')
    if not folder:
        pytest.skip('V2V_POSE_TEST_DATA does not name a folder with real data')
    return Path(folder)
