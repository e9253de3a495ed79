"""One process at a time writes to a build directory."""

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.lock import lock, unlock


class AbandonedMeanwhile(BuildDirectory):
    """A directory that is made while Python collects an abandoned run of another one."""

    def __init__(self, root, abandoned):
        super().__init__(root)
        self.abandoned = abandoned

    def make(self):
        super().make()
        unlock(self.abandoned)


def test_an_abandoned_run_can_release_its_lock_while_another_lock_is_acquired(tmp_path):
    abandoned = BuildDirectory(tmp_path / "b1")
    assert lock(abandoned) is False
    directory = AbandonedMeanwhile(tmp_path / "b2", abandoned)
    assert lock(directory) is False
    unlock(directory)


def test_a_lock_that_this_process_has_is_not_waited_for(tmp_path):
    directory = BuildDirectory(tmp_path / "b1")
    assert lock(directory) is False
    assert lock(directory) is False
    unlock(directory)
