"""What each template promises: commands that must answer in its user's login shell; and what the rig can't show."""

from __future__ import annotations

from dataclasses import dataclass

# Steps of the set-up whose sources the rig can't reach (github.com, nodejs.org) or which cost too much there.
UNREACHABLE = ("node", "ai-tools")


@dataclass(frozen=True)
class Promise:
    """`commands`: command and what its output must have in it; `skips`: steps that are left out."""

    commands: tuple[tuple[str, str], ...]
    skips: tuple[str, ...] = UNREACHABLE


def _versions(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{name} --version", ".") for name in names)


WITHOUT_CORE = (("tmux -V", "tmux "), ("python3 --version", "."))  # what is there when a terminal can be used
BASE = (*_versions("git", "python3", "curl", "vim", "htop"), ("tmux -V", "tmux "))

PROMISES = {
    "ubuntu": Promise(BASE),
    "python": Promise(
        (*BASE, *_versions("python3", "pip", "pipx"), ("python3 -c 'import sys; print(sys.prefix)'", "/.venv"))
    ),
    # Where nvm can't be had, the distribution's Node is installed: so that step works here too.
    "nodejs": Promise((*BASE, *_versions("node", "npm")), skips=("ai-tools",)),
    "golang": Promise((*BASE, ("go version", "go1."), ("dlv version", "Version"), ("gopls version", "gopls"))),
    "rust": Promise((*BASE, *_versions("cargo", "rustc"))),
    "postgres": Promise((*BASE, *_versions("psql"), ("psql -Atc 'select 40 + 2'", "42"))),
}


def promise_of(template: str) -> Promise:
    """Templates that are not in the table have the base stack at least."""
    return PROMISES.get(template, Promise(BASE))
