"""What is on disk, and how records are found."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from environments.localcloud.model import Action, Droplet, Volume
from environments.localcloud.store import Store


def droplet(number: int = 1, **fields: Any) -> Droplet:
    return Droplet(
        id=number, name="box", region="nyc3", size="s-1vcpu-1gb", image=155133621, created_at=1, ready_at=1, **fields
    )


def volume(name: str = "data", **fields: Any) -> Volume:
    return Volume(id=name, name=name, region="nyc3", size_gigabytes=1, created_at=1, **fields)


def bodies(directory: Path) -> list[Any]:
    with sqlite3.connect(directory / "state.sqlite3") as db:
        found = [json.loads(body) for (body,) in db.execute("SELECT body FROM records")]
    db.close()
    return found


def test_user_data_is_written_once_and_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    box = droplet(user_data="#cloud-config")
    store.save(box)
    box.status = "active"
    store.save(box)
    store.close()
    assert [body["status"] for body in bodies(tmp_path) if "user_data" not in body] == ["active"]
    store = Store(tmp_path)
    assert store.droplets == {1: box}
    store.delete(store.droplets[1])
    store.close()
    store = Store(tmp_path)
    store.save(droplet())
    store.close()
    store = Store(tmp_path)
    assert store.droplets[1].user_data == ""
    store.close()


def test_a_state_of_an_older_version_is_read(tmp_path: Path) -> None:
    Store(tmp_path).close()
    old = vars(droplet(user_data="old"))
    del old["disk"], old["listed_at"]
    with sqlite3.connect(tmp_path / "state.sqlite3") as db:
        db.execute("INSERT INTO records VALUES ('droplet', '1', ?)", (json.dumps(old),))
    db.close()
    for _ in range(2):
        store = Store(tmp_path)
        assert store.droplets[1].user_data == "old"
        store.save(store.droplets[1])
        store.close()
        assert "user_data" not in bodies(tmp_path)[0]


def test_records_are_found_by_what_they_are_now(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = volume("first", tags=["a"]), volume("second", droplet_id=1)
    store.save(first, second)
    assert (store.volumes_of(1), store.tagged("a")) == ([second], [first])
    first.droplet_id, first.tags, second.droplet_id, second.tags = 1, ["b"], None, ["b"]
    store.save(second, first)
    assert (store.volumes_of(1), store.tagged("a"), store.tagged("b")) == ([first], [], [second, first])
    assert store.find_volume("first", "nyc3") is first
    store.delete(first)
    assert (store.volumes_of(1), store.tagged("b"), store.find_volume("first", "nyc3")) == ([], [second], None)
    store.close()


def test_actions_are_found_by_whose_they_are_and_while_they_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    of_droplet = Action(id=1, type="reboot", started_at=1, resource_type="droplet", region="nyc3", droplet_id=7)
    of_volume = Action(
        id=2, type="attach_volume", started_at=1, resource_type="volume", region="nyc3", droplet_id=7, volume_id="v"
    )
    store.save(of_droplet, of_volume)
    assert store.actions_of(droplet_id=7) == [of_droplet]
    assert store.actions_of(volume_id="v") == [of_volume]
    assert store.actions_under_way() == store.actions_under_way(7) == [of_droplet, of_volume]
    of_droplet.status = "completed"
    store.save(of_droplet)
    assert store.actions_under_way(7) == [of_volume]
    assert store.actions_of(droplet_id=7) == [of_droplet]
    store.close()
