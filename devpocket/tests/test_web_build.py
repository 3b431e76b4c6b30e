"""`make web`: when the web client is built, with which node, and what is told where it can't be. On a pretended npm."""

from __future__ import annotations

from pathlib import Path

import pytest

from devpocket import web_build
from devpocket.bootstrap import INSTALL_TRIES

NPM = """\
#!/bin/sh
echo "$1" >>"$(dirname "$0")/calls"
echo "npm says something"
[ ! -e "$(dirname "$0")/$1-fails" ] || exit 1
case $1 in ci) mkdir -p node_modules ;; run) mkdir -p dist; echo built >dist/index.html ;; esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first directory on PATH, with a node and an npm, which notes in `calls` what it is asked for."""
    directory = tmp_path / "programs"
    directory.mkdir()
    write(directory / "node", "#!/bin/sh\necho v20.19.0\n")
    write(directory / "npm", NPM)
    monkeypatch.setenv("PATH", f"{directory}:/bin:/usr/bin")
    monkeypatch.setattr(web_build.time, "sleep", lambda seconds: None)
    return directory


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's sources."""
    directory = tmp_path / "web"
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "main.ts").write_text("export {}\n")
    (directory / "package-lock.json").write_text("{}")
    monkeypatch.setattr(web_build, "ROOT", tmp_path)
    monkeypatch.setattr(web_build, "WEB", directory)
    monkeypatch.setattr(web_build, "OWN_NODE", tmp_path / ".node")
    return directory


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def calls(programs: Path) -> list[str]:
    """What npm was asked for since the last look."""
    file = programs / "calls"
    found = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def test_it_is_built_once_and_again_when_a_source_changes(programs: Path, web: Path) -> None:
    web_build.ensure_built()
    assert calls(programs) == ["ci", "run"]
    assert (web / "dist" / "index.html").read_text() == "built\n"
    web_build.ensure_built()
    assert calls(programs) == []
    (web / "node_modules" / "new").touch()
    (web / "dist" / "new").touch()
    web_build.ensure_built()
    assert calls(programs) == []
    (web / "src" / "main.ts").rename(web / "src" / "other.ts")
    web_build.ensure_built()
    assert calls(programs) == ["run"]
    (web / "package-lock.json").write_text('{"lockfileVersion": 3}')
    web_build.ensure_built()
    assert calls(programs) == ["ci", "run"]


def test_a_build_that_is_gone_is_made_anew(programs: Path, web: Path) -> None:
    web_build.ensure_built()
    (web / "dist" / ".sources").unlink()
    calls(programs)
    web_build.ensure_built()
    assert calls(programs) == ["run"]


def test_installing_is_tried_again_and_building_is_not(
    programs: Path, web: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (programs / "ci-fails").touch()
    assert web_build.main([]) == 1
    assert calls(programs) == ["ci"] * INSTALL_TRIES
    said = capfd.readouterr()
    assert "npm says something" in said.out
    assert "could not be built: npm ci failed" in said.err
    (programs / "ci-fails").unlink()
    (programs / "run-fails").touch()
    assert web_build.main([]) == 1
    assert calls(programs) == ["ci", "run"]
    (programs / "run-fails").unlink()
    assert web_build.main([]) == 0
    assert calls(programs) == ["run"]


@pytest.mark.parametrize("failing", ["ci", "run"])
def test_make_run_goes_on_with_one_line(
    programs: Path, web: Path, failing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (programs / f"{failing}-fails").touch()
    assert web_build.main(["--optional"]) == 0
    said = capfd.readouterr()
    assert said.out == "building the web client ...\n"
    assert said.err.startswith(f"devpocket: the web client could not be built: npm {failing}")
    assert (said.err.count("\n"), said.err.count("make web")) == (1, 1)


def test_without_sources_that_is_told_too(programs: Path, web: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (web / "package-lock.json").unlink()
    assert web_build.main([]) == 1
    assert "package-lock.json" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [
        *(("v20.19.0\n", True), ("v20.20.2\n", True), ("v22.12.0\n", True), ("v24.0.0\n", True)),
        *(("v18.20.4\n", False), ("v20.18.3\n", False), ("v21.7.3\n", False), ("v22.11.0\n", False), ("", False)),
    ],
)
def test_which_node_is_new_enough(version: str, is_enough: bool) -> None:
    assert web_build.is_new_enough(version) is is_enough


@pytest.mark.parametrize("lacking", ["a new enough node", "node", "npm"])
def test_where_there_is_none_pypis_is_installed_once(
    programs: Path, web: Path, tmp_path: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacking == "a new enough node":
        write(programs / "node", "#!/bin/sh\necho v18.20.4\n")
    else:
        (programs / lacking).unlink()
    only = tmp_path / "only"  # what the system has of node must not be found
    only.mkdir()
    for name in ("sh", "dirname", "mkdir", "cp", "chmod", "echo"):
        (only / name).symlink_to(Path("/bin") / name)
    monkeypatch.setenv("PATH", f"{programs}:{only}")
    (tmp_path / "their-npm").write_text(NPM)
    pip = tmp_path / "venv" / "bin" / "python"  # pip, and what it does: puts npm into .node/bin
    pip.parent.mkdir(parents=True)
    write(
        pip,
        f'#!/bin/sh\necho "$@" >>{tmp_path}/pip\ncp {tmp_path}/their-npm {tmp_path}/.node/bin/npm\n'
        f"chmod 755 {tmp_path}/.node/bin/npm\n",
    )
    monkeypatch.setattr(web_build, "VENV", tmp_path / "venv")
    web_build.ensure_built()
    assert calls(tmp_path / ".node" / "bin") == ["ci", "run"]
    assert calls(programs) == []
    (web / "src" / "main.ts").write_text("export const x = 1\n")
    web_build.ensure_built()
    [asked] = (tmp_path / "pip").read_text().splitlines()
    assert asked.endswith(f"-r {web_build.REQUIREMENTS}")
    assert f"--python {tmp_path / '.node' / 'bin' / 'python'} " in asked
