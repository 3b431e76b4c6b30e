"""Copies of directory trees."""

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

from environments.localcloud.trees import PARTIAL, Copy, Stopped, aside, copied, remove_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "a/file").write_text("text")
    (tmp_path / "volumes/one").mkdir(parents=True)
    return source


def copy_of(source: Path) -> Copy:
    return Copy(source, source.with_name("target"), volumes=source.with_name("volumes"), leave_out=frozenset({"run"}))


def test_contents_modes_times_and_odd_files_are_kept(source: Path) -> None:
    os.mkfifo(source / "fifo")
    (source / "a/secret").write_text("mine")
    (source / "a/secret").chmod(0o000)
    (source / "a/b/deep").write_text("")
    (source / "a/b").chmod(0o555)
    os.utime(source / "a", (1, 2))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "sock"))
        assert copy_of(source).run() == len("textmine")
    target = source.with_name("target")
    assert sorted(os.listdir(target)) == ["a", "fifo"]
    assert ((target / "a/b").stat().st_mode & 0o777, (target / "a").stat().st_mtime) == (0o555, 2)
    for tree in (source, target):
        assert (tree / "a/secret").stat().st_mode & 0o777 == 0
        remove_tree(tree)
        assert not tree.exists()


def test_links_lead_to_the_same_thing_in_the_copy(source: Path) -> None:
    (source / "inside").symlink_to(source / "a/file")
    (source / "outside").symlink_to(f"{source}-not")
    (source / "near").symlink_to("a/file")
    (source / "itself").symlink_to(source)
    copy_of(source).run()
    target = source.with_name("target")
    found = {name: os.readlink(target / name) for name in ("inside", "outside", "near", "itself")}
    assert found == {"inside": f"{target}/a/file", "outside": f"{source}-not", "near": "a/file", "itself": str(target)}


def test_a_volume_is_left_out_and_what_it_hides_is_copied(source: Path) -> None:
    volume = source.with_name("volumes") / "one"
    (volume / "data").write_text("")
    for name in ("a", "bare"):
        (source / name).mkdir(exist_ok=True)
        (source / name).rename(aside(source / name))
        (source / name).symlink_to(volume)
    remove_tree(aside(source / "bare"))
    (source / "run").mkdir()
    (source / "run/pid").write_text("")
    copy_of(source).run()
    target = source.with_name("target")
    assert sorted(os.listdir(target)) == ["a", "bare", "run"]
    assert sorted(os.listdir(target / "a")) == ["b", "file"]
    assert os.listdir(target / "bare") == os.listdir(target / "run") == []
    assert not (target / "a").is_symlink()


def test_a_copy_takes_the_place_of_what_was_there_only_when_it_is_whole(source: Path) -> None:
    target = source.with_name("target")
    target.mkdir()
    (target / "old").write_text("")
    stopped = copy_of(source)
    stopped.stop.set()
    with pytest.raises(Stopped):
        stopped.run()
    assert os.listdir(target) == ["old"]
    assert not target.with_name(f"{PARTIAL}target").exists()
    target.with_name(f"{PARTIAL}target").mkdir()  # of a run that was killed
    copy_of(source).run()
    assert os.listdir(target) == ["a"]


def test_what_vanishes_meanwhile_is_left_out(source: Path) -> None:
    remove_tree(source)
    assert copy_of(source).run() == 0
    assert os.listdir(source.with_name("target")) == []


def test_links_are_not_followed_when_removing(source: Path) -> None:
    volume = source.with_name("volumes") / "one"
    (volume / "data").write_text("")
    volume.chmod(0o500)
    (source / "a/link").symlink_to(volume)
    (source / "a").chmod(0o500)
    remove_tree(source)
    assert not source.exists()
    assert (os.listdir(volume), volume.stat().st_mode & 0o777) == (["data"], 0o500)
    source.symlink_to(volume)
    remove_tree(source)
    assert not source.is_symlink()
    assert volume.exists()


async def test_a_cancelled_copy_is_stopped_and_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    copy = copy_of(source)
    original = Copy._copy_file

    def slow(self: Copy, kind: int, path: Path, target: Path) -> int:
        begun.set()
        assert self.stop.wait(5)
        return original(self, kind, path, target)

    monkeypatch.setattr(Copy, "_copy_file", slow)
    for name in ("one", "two"):
        (source / name).write_text("")
    work = asyncio.create_task(copied(copy))
    await asyncio.to_thread(begun.wait, 5)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert sorted(os.listdir(source.parent)) == ["source", "volumes"]
