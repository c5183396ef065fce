"""What several tests use: an isolated ROS domain, and the folder with real data."""

from collections.abc import Iterator
import contextlib
import fcntl
import itertools
import os
from pathlib import Path
import tempfile
import time

from hypothesis import settings
import pytest

settings.register_profile('repeatable', derandomize=True)
settings.register_profile('searching', derandomize=False)  # --hypothesis-profile=searching
settings.load_profile('repeatable')

SHARED_MEMORY = Path('/dev/shm')
ROS_TESTS = Path(__file__).with_name('ros')
DOMAIN_IDS = range(1, 102)  # 0 is everybody's; above 101 the ports overlap with ephemeral ones
_domain_ids = itertools.islice(itertools.cycle(DOMAIN_IDS), os.getpid() % len(DOMAIN_IDS), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests over DDS come one after another: half of them are about time.

    They wait more than they compute, so that another process has the rest of the tests meanwhile.
    """
    for item in items:
        if ROS_TESTS in item.path.parents:
            item.add_marker(pytest.mark.xdist_group('ros'))


@pytest.fixture
def ros_domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Reserve a ROS domain that no other test on this machine uses, and put it in the environment.

    The reservation is a lock on a file under /tmp, so that it also holds between test runs of
    several checkouts and ends with the process.  Each test goes on where the last one was: in a
    domain just left, processes that were killed count as present for some seconds.
    """
    directory = Path(tempfile.gettempdir()) / 'ros_domain_ids'
    directory.mkdir(mode=0o777, exist_ok=True)
    for _ in DOMAIN_IDS:
        domain = next(_domain_ids)
        descriptor = os.open(directory / str(domain), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain
        free_memory_of_killed_processes()
        os.close(descriptor)
        return
    pytest.fail(f'All ROS domains are in use; tests hold locks on files in {directory}.')


def free_memory_of_killed_processes() -> None:
    """Remove the segments of shared memory, 34 MB each, that killed processes could not remove.

    They harm nobody; they would only add up, run after run.  Fast DDS keeps a segment locked while
    its owner lives; one of the last minute may be about to be locked, and stays.  Ports
    (`fastrtps_port*`) are small and used again.
    """
    for lock in SHARED_MEMORY.glob('fastrtps_[0-9a-f]*_el'):
        with contextlib.suppress(OSError):  # locked, somebody else's, or gone meanwhile
            if time.time() - lock.stat().st_mtime < 60:
                continue
            with lock.open('rb') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix('_el')).unlink(missing_ok=True)
                lock.unlink()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch compute small things in one thread: several would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def test_data() -> Path:
    """Return the folder with real data, or skip the test where there is none."""
    folder = os.environ.get('V2V_POSE_TEST_DATA')
    if not folder:
        pytest.skip('V2V_POSE_TEST_DATA does not name a folder with real data')
    return Path(folder)
