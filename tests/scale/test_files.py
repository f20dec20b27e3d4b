"""Files are there whole or not at all."""

import os
import subprocess
import sys
from functools import partial

import pytest

from mlmath.scale import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_content_is_there_and_nothing_else(tmp_path):
    files.write(tmp_path / "a", b"one")
    files.write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_the_old_content(tmp_path, monkeypatch, call, error):
    files.write(tmp_path / "a", b"old")

    def fails(*_):
        raise error

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(type(error)):
        files.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def _noted(acts, name, act, *args):
    acts.append(name)
    return act(*args)


def test_the_name_comes_after_the_content_and_before_the_flush_of_the_folder(tmp_path, monkeypatch):
    acts = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, partial(_noted, acts, name, getattr(os, name)))
    files.write(tmp_path / "a", b"content")
    assert acts == ["fsync", "replace", "fsync"]


def test_what_is_flushed_to_the_disk_is_the_whole_content(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    files.write(tmp_path / "a", b"content")
    assert sizes[0] == len(b"content")


def test_a_process_killed_before_the_rename_leaves_only_what_is_cleared(tmp_path):
    files.write(tmp_path / "a", b"old")
    program = (
        "import os, signal; from pathlib import Path; from mlmath.scale import files\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"files.write(Path({str(tmp_path / 'a')!r}), b'new')"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    for name in (".hidden", "my.partial"):
        (tmp_path / name).write_text("of somebody else")
    files.clear(tmp_path)
    assert names(tmp_path) == [".hidden", "a", "my.partial"]


def test_a_folder_is_locked_by_one_process_until_it_ends(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from mlmath.scale import files\n"
        f"with files.locked(Path({str(tmp_path)!r})):\n"
        "    print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError), files.locked(tmp_path):
            pytest.fail("the block ran")
        other.kill()
        other.wait()
        for _ in range(2):  # free again after each block
            with files.locked(tmp_path):
                pass
    assert names(tmp_path) == []
