"""A program that runs droplets, without droplets: keeps what there would be in FAKE_HOME/state.json, and answers.

    python fake_droplet.py up NAME --user-data FILE ... | off | on | reboot | destroy | attach | detach | ls

FAKE_HOME/misbehave says what goes wrong next, as {"command": "fail" | "hang" | "half" | "garbage" | "port"}. "half": it
leaves a machine that is not whole, and hangs. FAKE_HOME/calls has a line for each call.
"""

import argparse
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HOME = Path(os.environ["FAKE_HOME"])
STATE, MISBEHAVE, CALLS, LOCK = HOME / "state.json", HOME / "misbehave", HOME / "calls", HOME / "lock"
State = dict[str, Any]


def load() -> State:
    return dict(json.loads(STATE.read_text())) if STATE.exists() else {"machines": {}, "volumes": {}}


def save(state: State) -> None:
    new = STATE.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(state))
    new.rename(STATE)


def machine_of(state: State, name: str) -> dict[str, Any]:
    if name not in state["machines"]:
        sys.exit(f"droplet: no droplet {name!r}")
    return dict(state["machines"][name])


def claim(state: State, spec: str, by: str) -> str:
    name, _, size = spec.partition(":")
    for other, machine in state["machines"].items():
        if name in machine["volumes"] and other != by:
            sys.exit(f"droplet: volume {name} is attached to {other}")
    have = state["volumes"].get(name, {"size_mb": 0, "born": time.time_ns()})
    wanted = int(size or 0) or have["size_mb"] or 1024
    if wanted < have["size_mb"]:
        sys.exit(f"droplet: volume {name} has {have['size_mb']} MB; a volume only grows")
    state["volumes"][name] = {**have, "size_mb": wanted}
    return name


def up(state: State, options: argparse.Namespace) -> None:
    if options.name in state["machines"]:
        sys.exit(f"droplet: {options.name} exists already")
    data = Path(options.user_data).read_text() if options.user_data else ""
    used = {machine["ip"] for machine in state["machines"].values()}
    ip = next(ip for number in range(10, 250) if (ip := f"127.78.0.{number}") not in used)
    state["machines"][options.name] = {
        "name": options.name, "id": str(time.time_ns()), "status": "active", "ip": ip, "ssh_port": options.ssh_port,
        "volumes": [claim(state, spec, options.name) for spec in options.volume], "user_data": data,
        "hostname": options.hostname, "memory": options.memory, "cpus": options.cpus, "boots": 1,
    }  # fmt: skip


def switch(state: State, options: argparse.Namespace) -> None:
    machine = machine_of(state, options.name)
    if options.command == "on" and machine["status"] == "active":
        sys.exit(f"droplet: {options.name} is on")
    machine["status"] = "off" if options.command == "off" else "active"
    machine["boots"] += options.command != "off"
    machine["last"] = f"{options.command} --hard" if getattr(options, "hard", False) else options.command
    state["machines"][options.name] = machine


def plug(state: State, options: argparse.Namespace) -> None:
    machine = machine_of(state, options.name)
    if options.command == "attach":
        name = claim(state, options.volume, options.name)
        if name in machine["volumes"]:
            sys.exit(f"droplet: volume {name} is attached already")
        machine["volumes"].append(name)
    elif options.volume not in machine["volumes"]:
        sys.exit(f"droplet: volume {options.volume} is not attached to {options.name}")
    else:
        machine["volumes"].remove(options.volume)
    state["machines"][options.name] = machine


def destroy(state: State, options: argparse.Namespace) -> None:
    for name in machine_of(state, options.name)["volumes"] if options.with_volumes else []:
        del state["volumes"][name]
    del state["machines"][options.name]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ls")
    for name in ("up", "off", "on", "reboot", "attach", "detach", "destroy"):
        command = commands.add_parser(name)
        command.add_argument("name")
        if name in ("up", "on", "reboot"):
            command.add_argument("--no-wait", action="store_true", required=True)
        if name in ("off", "reboot"):
            command.add_argument("--hard", action="store_true")
        if name in ("attach", "detach"):
            command.add_argument("volume")
        if name == "destroy":
            command.add_argument("--with-volumes", action="store_true")
        if name == "up":
            for option, kind in (
                ("user-data", str),
                ("hostname", str),
                ("ssh-port", int),
                ("memory", int),
                ("cpus", int),
            ):
                command.add_argument(f"--{option}", type=kind)
            command.add_argument("--volume", action="append", default=[])
    return parser.parse_args()


def next_trouble(command: str) -> str:
    trouble = json.loads(MISBEHAVE.read_text()) if MISBEHAVE.exists() else {}
    kind = str(trouble.pop(command, ""))
    if kind:
        MISBEHAVE.write_text(json.dumps(trouble))
    return kind


def run(options: argparse.Namespace, trouble: str) -> Any:
    state = load()
    if options.command == "ls":
        volumes = [{"volume": name, "size_mb": volume["size_mb"]} for name, volume in state["volumes"].items()]
        return {"droplets": list(state["machines"].values()), "volumes": volumes}
    {"up": up, "attach": plug, "detach": plug, "destroy": destroy}.get(options.command, switch)(state, options)
    answer = state["machines"].get(options.name)
    if trouble == "half":
        answer["status"], answer["user_data"] = "off", "cut short"
    save(state)
    return answer


def main() -> None:
    options = parse()
    with CALLS.open("a") as calls:
        calls.write(" ".join(sys.argv[1:]) + "\n")
    with LOCK.open("w") as lock:  # several calls run at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        trouble = next_trouble(options.command)
        answer: Any = None if trouble in ("fail", "hang") else run(options, trouble)
    if trouble == "fail":
        sys.exit("droplet: it was\ndroplet: no good day")
    if trouble in ("hang", "half"):
        time.sleep(600)
    if trouble == "port":
        answer["ssh_port"] += 1
    if answer is not None:
        sys.stdout.write("{]" if trouble == "garbage" else json.dumps(answer))


if __name__ == "__main__":
    main()
