"""Paths and mounts of a disk."""

import os
from pathlib import Path

import pytest

from environments.localcloud.disk import Disk, OutsideDisk
from environments.localcloud.userdata import Mount

HOME = Mount("/dev/disk/by-id/scsi-0DO_Volume_home", "/home/dev", ("ext4", "defaults", "0", "2"))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "disk")
    disk.create()
    (tmp_path / "volume").mkdir()
    return disk


def test_paths_stay_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    disk.write("//etc/./x", b"1")
    assert (disk.root / "etc/x").read_bytes() == b"1"
    (disk.root / "out").symlink_to(tmp_path)
    (disk.root / "etc/link").symlink_to(tmp_path / "target")
    for path in ("/../x", "/out/x", "/etc/../../x"):
        with pytest.raises(OutsideDisk):
            disk.write(path, b"")
    with pytest.raises(OSError, match="symbolic"):
        disk.write("/etc/link", b"")
    assert not (tmp_path / "target").exists()
    (tmp_path / "target").write_bytes(b"of the host")
    assert disk.read("/out/x") == disk.read("/etc/link") == b""
    (disk.root / "etc/inner").symlink_to(disk.root / "etc/x")
    assert disk.read("/etc/inner") == b"1"
    (disk.root / "etc/circle").symlink_to(disk.root / "etc/circle")
    assert disk.read("/etc/circle") == b""


def test_a_mount_hides_what_is_below_and_gives_it_back(disk: Disk, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    disk.write("/home/dev/below", b"")
    disk.add_to_fstab([HOME])
    assert disk.mount_all() == []
    assert (disk.root / "home/dev/below").exists(), "not attached: mounted is nothing"
    disk.volumes = {"home": volume}
    assert disk.mount_all() == ["/home/dev"]
    assert disk.mount_all() == []
    disk.write("/home/dev/notes", b"kept")
    assert [path.name for path in volume.iterdir()] == ["notes"]
    disk.unmount(volume)
    assert [path.name for path in (disk.root / "home/dev").iterdir()] == ["below"]
    disk.mount_all()
    disk.destroy()
    assert (volume / "notes").read_bytes() == b"kept"


def test_homes_keep_what_is_there(disk: Disk) -> None:
    disk.write("/home/dev/.bashrc", b"mine")
    disk.write("/home/dev/.ssh/authorized_keys", b"old key\n")
    for _ in range(2):
        disk.write_users({"root": [], "dev": ["new key", "old key"]})
    assert disk.read("/home/dev/.bashrc") == b"mine"
    assert disk.authorized_keys("dev") == "old key\nnew key"
    assert (disk.root / "home/dev/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert (disk.home_of("dev"), disk.home_of("root"), disk.home_of("nobody")) == ("/home/dev", "/root", None)


def test_odd_files_are_not_read(disk: Disk) -> None:
    os.mkfifo(disk.root / "fifo")
    assert disk.read("/fifo") == b""
    assert disk.read("/etc") == b""
    disk.write("/big", b"x" * 10)
    assert disk.read("/big", limit_bytes=9) == b""


def test_etc_environment_is_read_as_pam_does(disk: Disk) -> None:
    disk.write("/etc/environment", b"A=1\nexport B='two words'\n# no\nC=\"x\" # remark\nbad line\nD='open\n")
    assert disk.environment() == {"A": "1", "B": "two words", "C": "x"}


def test_keys_are_looked_for_where_sshd_looks(disk: Disk) -> None:
    disk.write_users({"root": [], "dev": ["in the home"]})
    disk.write("/etc/devpocket/authorized_keys", b"of all\n")
    disk.write("/etc/keys/dev", b"by name\n")
    disk.write("/home/dev/.ssh/authorized_keys2", b"second\n")
    assert disk.authorized_keys("dev").split("\n") == ["in the home", "second"]
    disk.write("/etc/ssh/sshd_config.d/50-late.conf", b"AuthorizedKeysFile none\n")
    assert disk.authorized_keys("dev") == ""
    disk.write(
        "/etc/ssh/sshd_config.d/10-devpocket.conf",
        b"authorizedkeysfile /etc/devpocket/authorized_keys .ssh/authorized_keys /etc/keys/%u /etc/passwd/../passwd\n",
    )
    assert disk.authorized_keys("dev").split("\n") == ["of all", "in the home", "by name"]
    assert disk.authorized_keys("root") == "of all"
    assert disk.authorized_keys("nobody") == ""
    disk.write("/etc/ssh/sshd_config.d/.hidden.conf", b"AuthorizedKeysFile none\n")
    disk.write("/etc/ssh/sshd_config.d/00-other", b"AuthorizedKeysFile none\n")
    assert disk.authorized_keys("root") == "of all"
