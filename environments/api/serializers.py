"""Environments on the wire (contract sections 5.1 and 5.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.plans import plan_limits
from devpocket.fields import TextField, TimeField, WholeNumberField, writer
from devpocket.times import time_text
from environments import billing
from environments.api.fields import AmountField, NameField, VariablesField
from environments.catalogue import is_size_allowed, size_tier
from environments.cloud import Size
from environments.idle import idle_stop_at
from environments.lifecycle import COMPAT_STATUS, Desired, Phase, Status
from environments.models import Environment
from templates_catalog.models import Template
from templates_catalog.selectors import find_template
from templates_catalog.values import BYTES, CPU

SSH_PORT = 22  # of a droplet, as its user sees it
ASKED = "What the machine needs at least; has a say only where no `size` is given."
PHASES = [str(phase) for phase in Phase]
BILLING_STATES = ["active", "powered_off", "hibernated", "volume", "none"]
SIZE_TIERS = ["free", "starter", "pro"]
UNIT_MB = {"K": 1000 / 2**20, "Ki": 2**-10, "M": 10**6 / 2**20, "Mi": 1, "G": 10**9 / 2**20, "Gi": 2**10, "Ti": 2**20}


def memory_text(megabytes: int) -> str:
    """512 gives 512Mi, 2048 gives 2Gi."""
    return f"{megabytes // 1024}Gi" if megabytes % 1024 == 0 else f"{megabytes}Mi"


class PhaseField(serializers.ChoiceField):
    """What is, precisely."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(PHASES, **kwargs)


class StatusField(PhaseField):
    def __init__(self, **kwargs: Any) -> None:
        few = ", ".join(Status)
        super().__init__(help_text=f"One of {few}; the phase for clients that ask for full statuses.", **kwargs)


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    phase = PhaseField()
    at = serializers.DateTimeField()

    class Meta:
        ref_name = "EnvironmentError"


class BillingSerializer(serializers.Serializer):
    """An estimate in US dollars."""

    state = serializers.ChoiceField(BILLING_STATES)
    usd_per_hour = serializers.FloatField()
    usd_month_to_date = serializers.FloatField()
    note = serializers.CharField(allow_null=True)


class InstallationSerializer(serializers.Serializer):
    """How far the machine's set-up is, also while it runs already. `phase`: of contract 9.5."""

    completed = serializers.BooleanField()
    progress = serializers.IntegerField()
    phase = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)


class Resources(TypedDict):
    cpu: str
    memory: str
    storage: str


class ResourceLimits(Resources):
    max_instances: int | None


class UsageField(serializers.FloatField):
    """Percent, 0 to 100; null unless it runs, whatever was measured before."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def get_attribute(self, environment: Environment) -> float | None:
        return super().get_attribute(environment) if environment.phase == Phase.RUNNING else None


class EnvironmentSerializer(serializers.Serializer):
    """What list, get, create and change answer alike. Several keys carry one value: each generation knows its own."""

    # Context `full_status`: `status` is the phase, for clients that ask for it (contract 6.2). `idle_stop_minutes`: of
    # the owner's plan.

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField(help_text="The name as a host can have it.")
    description = serializers.CharField(allow_null=True)
    template_id = serializers.CharField()
    template = serializers.CharField(source="template_id")
    template_name = serializers.CharField(source="template.display_name")
    status = serializers.SerializerMethodField()
    phase = PhaseField()
    status_message = serializers.SerializerMethodField()
    progress = serializers.IntegerField(min_value=0, max_value=100, help_text="Percent of what `phase` is about.")
    resource_limits = serializers.SerializerMethodField()
    resources = serializers.SerializerMethodField()
    environment_variables = serializers.DictField(child=serializers.CharField())
    external_url = serializers.SerializerMethodField(method_name="get_url")
    url = serializers.SerializerMethodField()
    web_port = serializers.IntegerField(source="template.default_port")
    port = serializers.IntegerField(source="template.default_port")
    ssh_port = serializers.SerializerMethodField()
    ssh_user = serializers.SerializerMethodField()
    docker_image = serializers.CharField(source="image")
    image = serializers.CharField()
    droplet_id = serializers.IntegerField(allow_null=True)
    droplet_ip = serializers.CharField(allow_null=True)
    volume_id = serializers.CharField(allow_null=True)
    region = serializers.CharField()
    size = serializers.CharField()
    storage_size_gb = serializers.IntegerField(help_text="Of the volume with the home directory.")
    installation_completed = serializers.BooleanField(help_text="Some templates let their owner in before that.")
    installation = serializers.SerializerMethodField()
    cpu_usage = UsageField(source="cpu_percent")
    memory_usage = UsageField(source="memory_percent")
    storage_usage = UsageField(source="storage_percent")
    created_at = TimeField()
    updated_at = TimeField()
    last_accessed = TimeField(source="last_activity_at", allow_null=True)
    last_activity = TimeField(source="last_activity_at", allow_null=True)
    last_activity_at = TimeField(allow_null=True)
    idle_stop_at = serializers.SerializerMethodField(help_text="When it is stopped unless somebody uses it.")
    last_stop_reason = serializers.SerializerMethodField()
    hibernated = serializers.SerializerMethodField(help_text="Stopped without a machine; `start` makes one anew.")
    billing = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()

    @extend_schema_field(StatusField)
    def get_status(self, environment: Environment) -> str:
        phase = Phase(environment.phase)
        return str(phase if self.context.get("full_status") else COMPAT_STATUS[phase])

    def get_status_message(self, environment: Environment) -> str | None:
        return environment.status_message or None

    def get_resources(self, environment: Environment) -> Resources:
        return {
            "cpu": f"{environment.vcpus * 1000}m",
            "memory": memory_text(environment.memory_mb),
            "storage": f"{environment.disk_gb + environment.storage_size_gb}Gi",
        }

    def get_resource_limits(self, environment: Environment) -> ResourceLimits:
        return {**self.get_resources(environment), "max_instances": None}

    def get_url(self, environment: Environment) -> str | None:
        return None  # droplets are reached by SSH only; nothing forwards web ports to the outside yet

    def get_ssh_port(self, environment: Environment) -> int:
        return SSH_PORT

    def get_ssh_user(self, environment: Environment) -> str:
        return "devpocket"

    @extend_schema_field(InstallationSerializer)
    def get_installation(self, environment: Environment) -> dict[str, Any]:
        return {
            "completed": environment.installation_completed,
            "progress": 100 if environment.installation_completed else environment.install_percent,
            "phase": environment.install_phase or None,
            "message": environment.install_message or None,
            "error": environment.install_error or None,
        }

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_idle_stop_at(self, environment: Environment) -> str | None:
        at = idle_stop_at(environment, minutes=self.context.get("idle_stop_minutes", 0))
        return None if at is None else time_text(at)

    def get_last_stop_reason(self, environment: Environment) -> str | None:
        return environment.last_stop_reason or None

    def get_hibernated(self, environment: Environment) -> bool:
        return environment.desired_state == Desired.HIBERNATED and environment.phase == Phase.STOPPED

    @extend_schema_field(BillingSerializer)
    def get_billing(self, environment: Environment) -> dict[str, Any]:
        return billing.shown(environment)

    @extend_schema_field(ErrorSerializer(allow_null=True))
    def get_error(self, environment: Environment) -> dict[str, Any] | None:
        if environment.phase != Phase.ERROR:
            return None
        return dict(
            ErrorSerializer(
                {
                    "code": environment.error_code,
                    "message": environment.error_message,
                    "phase": environment.error_phase,
                    "at": environment.error_at,
                }
            ).data
        )


def shown_to_owner(
    environments: Iterable[Environment], *, plan: str, is_full_status: bool = False
) -> list[dict[str, Any]]:
    """Their objects, for every way that their owner, who has this plan, is told of them. No queries."""
    minutes = plan_limits(plan).idle_stop_minutes
    return list(map(writer(EnvironmentSerializer, full_status=is_full_status, idle_stop_minutes=minutes), environments))


class ResourcesSerializer(serializers.Serializer):
    cpu = AmountField(CPU)
    memory = AmountField(BYTES)
    storage = AmountField(BYTES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """In our units: {"vcpus": int, "memory_mb": int}; storage is the volume's, which has a field of its own."""
        cpu, memory = attrs.get("cpu"), attrs.get("memory")
        millicores = 0 if not cpu else int(cpu[:-1]) if cpu.endswith("m") else int(cpu) * 1000
        megabytes = 0.0
        if memory and (match := BYTES.match(memory)):
            megabytes = int(match[1]) * UNIT_MB[match[2]]
        return {"vcpus": -(-millicores // 1000), "memory_mb": int(-(-megabytes // 1))}


def asked_of_machine(fields: dict[str, Any]) -> dict[str, int]:
    """{"vcpus", "memory_mb"}, 0 where nothing is asked. `resources` has a say in what `resource_limits` leaves open."""
    limits, resources = fields.get("resource_limits") or {}, fields.get("resources") or {}
    return {name: limits.get(name) or resources.get(name, 0) for name in ("vcpus", "memory_mb")}


class CreateSerializer(serializers.Serializer):
    """A new environment. Every optional field may be null (contract T9)."""

    # Checked, `template` is the Template, and `needs` what `resources` ask of the machine.

    name = NameField(max_length=50, help_text="For people; the caller's other environments have other ones.")
    template_id = TextField(
        max_length=100,
        required=False,
        allow_null=True,
        help_text="A template's name, or another that it is known under.",
    )
    template = TextField(max_length=100, required=False, allow_null=True, help_text="The same as template_id.")
    description = TextField(max_length=500, required=False, allow_null=True, allow_blank=True)
    region = TextField(
        max_length=50,
        required=False,
        allow_null=True,
        help_text="A slug of `/regions`; without it the user's preferred region, or else the server's.",
    )
    size = TextField(
        max_length=50,
        required=False,
        allow_null=True,
        help_text="A slug of `/sizes`; without it the smallest of the plan that fits `resources` and the template.",
    )
    storage_size_gb = WholeNumberField(
        min_value=1, required=False, allow_null=True, help_text="Of the volume, up to what the plan has; else 10."
    )
    user_password = TextField(
        min_length=8,
        max_length=128,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        write_only=True,
        help_text="Of the machine's user `devpocket`; without it only keys let in.",
    )
    resources = ResourcesSerializer(required=False, allow_null=True, help_text=ASKED)
    resource_limits = ResourcesSerializer(required=False, allow_null=True, help_text=ASKED)
    environment_variables = VariablesField(required=False, allow_null=True)

    class Meta:
        ref_name = "CreateEnvironment"
        one_of = ("template_id", "template")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        found: set[Template] = set()
        for field in ("template_id", "template"):
            if attrs.get(field) is not None:
                template = find_template(attrs[field])
                if template is None:
                    raise _template_error("There is no such template.", "unknown_choice")
                found.add(template)
        if not found:
            raise _template_error("Please choose a template.", "required")
        if len(found) > 1:
            raise _template_error("template_id and template name different templates.", "invalid")
        return {**attrs, "template": found.pop(), "needs": asked_of_machine(attrs)}


def _template_error(message: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError({"template_id": serializers.ErrorDetail(message, code)})


class ActionSerializer(serializers.Serializer):
    message = serializers.CharField()
    status = StatusField()
    phase = PhaseField()


class RegionSerializer(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    available = serializers.BooleanField(source="is_available")
    features = serializers.ListField(child=serializers.CharField())
    sizes = serializers.ListField(child=serializers.CharField())


class SizeSerializer(serializers.Serializer):
    """memory in MB, disk in GB, transfer in TB, prices in US dollars. `allowed`: by the caller's plan."""

    # Context `plan`: the caller's.

    slug = serializers.CharField()
    name = serializers.SerializerMethodField()
    memory = serializers.IntegerField(source="memory_mb")
    vcpus = serializers.IntegerField()
    disk = serializers.IntegerField(source="disk_gb")
    transfer = serializers.FloatField(source="transfer_tb")
    price_monthly = serializers.FloatField(source="price_usd_per_month")
    price_hourly = serializers.FloatField(source="price_usd_per_hour")
    tier = serializers.SerializerMethodField()
    available = serializers.BooleanField(source="is_available")
    regions = serializers.ListField(child=serializers.CharField())
    allowed = serializers.SerializerMethodField()

    def get_name(self, size: Size) -> str:
        return f"{size.description}: {memory_text(size.memory_mb)} memory, {size.vcpus} CPU, {size.disk_gb} GB disk"

    @extend_schema_field(serializers.ChoiceField(SIZE_TIERS))
    def get_tier(self, size: Size) -> str:
        return size_tier(size.slug)

    def get_allowed(self, size: Size) -> bool:
        return is_size_allowed(size.slug, self.context["plan"])


class FeaturesSerializer(serializers.Serializer):
    authentication = serializers.BooleanField()
    google_oauth = serializers.BooleanField()
    websockets = serializers.BooleanField()
    rate_limiting = serializers.BooleanField()
    metrics = serializers.BooleanField()
    email_verification = serializers.BooleanField()


class LimitsSerializer(serializers.Serializer):
    """Environments of a plan; null: as many as one likes."""

    free_environments = serializers.IntegerField(allow_null=True)
    starter_environments = serializers.IntegerField(allow_null=True)
    pro_environments = serializers.IntegerField(allow_null=True)


class InfoSerializer(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.CharField()
    environment = serializers.CharField(help_text="Of this installation, like production.")
    features = FeaturesSerializer()
    google_web_client_id = serializers.CharField(
        allow_null=True, help_text="With which a browser asks Google for an ID token. Null: it can't."
    )
    limits = LimitsSerializer()
    status_values = serializers.ListField(child=serializers.CharField())
    phase_values = serializers.ListField(child=PhaseField())
    timestamp = serializers.DateTimeField()


class ClusterSerializer(serializers.Serializer):
    """There are none: no answer has one."""

    id = serializers.CharField()
