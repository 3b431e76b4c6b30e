"""User-data for people to look at: whole, in order, and without a secret."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from uuid import uuid4

import pytest
import yaml
from django.core.management import CommandError, call_command

from accounts.services import SignIn
from environments.cloud_init import ENVIRONMENT_FILE
from environments.models import Environment
from environments.set_up.preview import MASK, check_template, user_data_preview
from templates_catalog.importer import DATA_DIR
from templates_catalog.models import Template

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates")]


def rendered(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("render_user_data", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA_DIR.glob("*.yaml")))
def test_every_template_renders_fits_and_is_taken_by_cloud_inits_schema(name: str) -> None:
    text, told = rendered(name)
    assert text.startswith("#cloud-config\n")
    assert "of 65,536 bytes" in told
    assert rendered(name)[0] == text
    assert check_template(Template.objects.get(pk=name)) == []


def test_an_environments_own_secrets_are_masked(ann: SignIn, create: Callable[..., Environment]) -> None:
    environment = create(ann, environment_variables={"TOKEN": "s3cret"}, user_password="Pass-word-1")
    text, _ = rendered(environment.template_id, "--environment", str(environment.pk))
    secrets = [environment.password_hash, "s3cret", "Pass-word-1", *environment.host_private_key.split("\n")[1:-2]]
    assert all(secrets)
    for secret in secrets:
        assert secret not in text
    files = {file["path"]: file["content"] for file in yaml.safe_load(text)["write_files"]}
    assert f"export TOKEN='{MASK}'" in files[ENVIRONMENT_FILE]
    assert environment.slug in text


@pytest.mark.parametrize("arguments", [["nothing"], ["python", "--environment", str(uuid4())]])
def test_what_is_not_there_is_one_clear_error(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="there is no"):
        rendered(*arguments)


def test_a_set_up_that_is_too_large_is_told_of_before_anything_is_made() -> None:
    template = Template.objects.get(pk="ubuntu")
    template.startup_commands = [f"echo {uuid4().hex * 100}{uuid4().hex * 27}" for _ in range(5)]
    assert check_template(template) == []  # it compresses well
    template.startup_commands = ["".join(uuid4().hex for _ in range(100)) for _ in range(30)]
    [problem] = check_template(template)
    assert "too large" in problem


def test_what_cloud_init_would_not_take_is_named() -> None:
    template = Template.objects.get(pk="ubuntu")
    template.config = {"cloud_init": {"write_files": [{"path": "/etc/x", "content": "", "permissions": 644}]}}
    [problem] = check_template(template)
    assert problem.startswith("write_files.")


def test_a_preview_is_the_same_each_time() -> None:
    template = Template.objects.get(pk="python")
    assert user_data_preview(template) == user_data_preview(template)
