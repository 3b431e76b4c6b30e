"""The steps of a machine's set-up, as scripts that `devpocket-setup` goes through, and the files they read.

Every text of a template's goes into a file of its own; none becomes part of a script of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LIB = "/usr/local/lib/devpocket"
KEYRINGS = "/etc/apt/keyrings"
SCRIPTS = Path(__file__).parent / "machine"
TRIES = 3  # of a step: the network of a new machine may not be there yet
USER_READY_PERCENT = 30  # from here on a terminal can be used: the account and its home are there
CONFIGURATION = (80, 94)  # what the template's own commands are spread over

# What several templates share beside the base stack: the step's name and message.
PARTS = {"postgresql": "Installing PostgreSQL"}


@cache
def script(name: str) -> str:
    """The text of a file in machine/."""
    return (SCRIPTS / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Step:
    """`runs_as`: root or user. `name`: also its file's, in LIB/steps; one word. `percent`: when it begins."""

    name: str
    percent: int
    phase: str
    message: str
    text: str
    runs_as: str = "root"
    tries: int = TRIES

    @property
    def is_ours(self) -> bool:
        """Whether its text is of this package, and not a template's."""
        return self.phase != "configuration"

    @property
    def line(self) -> str:
        """Its line in steps.list."""
        return f"{self.percent} {self.phase} {self.runs_as} {self.tries} {self.name} {self.message}\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a template adds.

    `parts`: of PARTS. `sources`: {"name", "uri", "suites", "components", "key"}; `files`: {"path", "content",
    "permissions"}; `root_commands` run as root, `commands` as the user, in a login shell. `skips`: names of steps that
    the operator leaves out.
    """

    parts: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    files: tuple[Mapping[str, str], ...] = ()
    root_commands: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    skips: frozenset[str] = frozenset()


def recipe_of(config: Mapping[str, Any] | None, commands: Sequence[str], *, skips: Collection[str] = ()) -> Recipe:
    """From a template's `config` and `startup_commands`, which were checked when it was stored."""
    config = config or {}
    own = config.get("cloud_init") or {}
    return Recipe(
        parts=tuple(config.get("parts", ())),
        packages=tuple(config.get("packages", ())),
        sources=tuple(config.get("sources", ())),
        files=tuple(own.get("write_files", ())),
        root_commands=tuple(own.get("runcmd", ())),
        commands=tuple(commands),
        skips=frozenset(skips),
    )


def steps_of(recipe: Recipe) -> list[Step]:
    """In their order. The account first, so that a terminal can be used while all the rest is being installed."""
    steps = [
        _ours("system", 0, "system_setup", "Preparing the system"),
        _ours("user", 20, "user_setup", "Setting up your account"),
        _ours("core", USER_READY_PERCENT, "core_tools", "Installing core tools"),
    ]
    if recipe.packages or recipe.sources:
        steps.append(_ours("packages", 60, "development_tools", "Installing the template's tools"))
    steps += [_ours(name, 64, "development_tools", PARTS[name]) for name in PARTS if name in recipe.parts]
    steps += [
        _ours("node", 66, "development_tools", "Installing Node.js", runs_as="user"),
        _ours("ai-tools", 70, "development_tools", "Installing AI tools", runs_as="user"),
        _ours("docker", 74, "development_tools", "Installing Docker"),
    ]
    low, high = CONFIGURATION
    own = [(f"root-{number}", "root", text) for number, text in enumerate(recipe.root_commands, 1)]
    own += [(f"command-{number}", "user", text) for number, text in enumerate(recipe.commands, 1)]
    for done, (name, runs_as, text) in enumerate(own):
        percent = low + (high - low) * done // len(own)
        message = f"Configuring ({done + 1} of {len(own)})"
        # Tried once in a run: a command that fails is seldom mended by what it has done half.
        steps.append(Step(name, percent, "configuration", message, f"{text}\n", runs_as, tries=1))
    steps = [step for step in steps if step.name not in recipe.skips]
    return [*steps, Step("finish", 95, "completion", "Finishing", "")]


def _ours(name: str, percent: int, phase: str, message: str, *, runs_as: str = "root") -> Step:
    return Step(name, percent, phase, message, script(f"steps/{name}.sh"), runs_as)


def source_files(source: Mapping[str, Any]) -> dict[str, str]:
    """The files of a signed apt source: its key, and its deb822 entry with {codename} and {distribution} in it."""
    key = f"{KEYRINGS}/{source['name']}.asc"
    components = " ".join(source.get("components", ()))  # none where the suite is a path (sources.list(5))
    entry = f"Types: deb\nURIs: {source['uri']}\nSuites: {' '.join(source['suites'])}\n"
    entry += f"Components: {components}\n" if components else ""
    entry += f"Signed-By: {key}\n"
    return {key: source["key"], f"{LIB}/sources/{source['name']}.sources": entry}


def package_line(package: str) -> str:
    """ "a | b" as the machine reads it, without blanks."""
    return package.replace(" ", "") + "\n"
