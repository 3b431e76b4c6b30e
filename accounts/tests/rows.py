"""Environments as they lie in the database, without machines."""

from __future__ import annotations

from typing import Any

from accounts.services import SignIn
from environments.lifecycle import Phase
from environments.models import Environment
from templates_catalog.importer import import_templates
from templates_catalog.models import Template


def environment(owner: SignIn, phase: Phase = Phase.RUNNING, **columns: Any) -> Environment:
    if not Template.objects.exists():
        import_templates()
    return Environment.objects.create(
        owner=owner.user,
        template=Template.objects.get(name="ubuntu"),
        phase=phase,
        name=f"{phase} {Environment.objects.count()}",
        slug="work",
        region="nyc3",
        size="s-1vcpu-512mb-10gb",
        image="ubuntu-22-04-x64",
        memory_mb=512,
        vcpus=1,
        disk_gb=10,
        storage_size_gb=5,
        host_public_key="p",
        host_private_key="k",
        **columns,
    )
