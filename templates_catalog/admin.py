"""Templates for operators. What the API and files may not say, this form takes neither: one set of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from devpocket.errors import DomainError
from devpocket.operators import OperatorAdmin
from templates_catalog import services
from templates_catalog.models import Template, preview_above, problems_above
from templates_catalog.rules import KEYS, SCHEMA, problems


class TemplateForm(forms.ModelForm):
    class Meta:
        model = Template
        fields = list(KEYS)
        help_texts = {key: SCHEMA["properties"][key]["description"] for key in KEYS}
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def clean(self) -> dict[str, Any] | None:
        """An emptied field has its default, not null."""
        for key, value in self.cleaned_data.items():
            column = Template._meta.get_field(key)
            if value is None and not column.null:
                self.cleaned_data[key] = column.get_default()
        return super().clean()


@admin.register(Template)
class TemplateAdmin(OperatorAdmin):
    form = TemplateForm
    list_display = ["name", "display_name", "category", "status", "is_right", "usage_count", "updated_at"]
    list_filter = ["category", "status"]
    search_fields = ["name", "display_name", "description"]
    readonly_fields = ["check_result", "preview", "usage_count", "created_at", "updated_at"]
    actions = ["deprecate", "reactivate"]

    def get_fields(self, request: HttpRequest, obj: Template | None = None) -> list[str]:
        return [*KEYS, *self.readonly_fields] if obj else list(KEYS)

    def get_readonly_fields(self, request: HttpRequest, obj: Template | None = None) -> list[str]:
        return ["name", *self.readonly_fields] if obj else []  # another name would be another template

    def has_delete_permission(self, request: HttpRequest, obj: Template | None = None) -> bool:
        return False  # environments go on living from it: deprecate it

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    @admin.display(description="schema check", boolean=True)
    def is_right(self, template: Template) -> bool:
        return not problems(template.values())

    @admin.display(description="check")
    def check_result(self, template: Template) -> str:
        """Of the row as it is stored: it may be older than a rule."""
        found = [problem.sentence(problem.key) for problem in problems(template.values())]
        found = found or problems_above(template)
        return format_html_join("", "<div>{}</div>", ((sentence,) for sentence in found)) or "Nothing is wrong with it."

    @admin.display(description="what its machines are set up from")
    def preview(self, template: Template) -> str:
        if problems(template.values()):
            return "Nothing, until it is put right."
        size, text = preview_above(template)
        return format_html("<details><summary>{}</summary><pre>{}</pre></details>", size, text)

    def save_model(self, request: HttpRequest, obj: Template, form: forms.ModelForm, change: bool) -> None:
        if change:
            fields = {key: getattr(obj, key) for key in form.changed_data}
            services.template_update(name=obj.pk, fields=fields, actor_id=request.user.pk)
        else:
            services.template_create(fields=obj.values(), actor_id=request.user.pk)

    # --- Actions

    def _each(self, request: HttpRequest, templates: QuerySet[Template], what: str, do: Callable[..., None]) -> None:
        for template in templates:
            try:
                do(name=template.pk, actor_id=request.user.pk)
            except DomainError as refusal:
                self.message_user(request, f"{template}: {refusal.message}", messages.WARNING)
            else:
                self.log_change(request, template, what)
        self.message_user(request, f"{what}: {len(templates)} template(s)", messages.SUCCESS)

    @admin.action(description="Deprecate: offer it no more", permissions=["operate"])
    def deprecate(self, request: HttpRequest, templates: QuerySet[Template]) -> None:
        self._each(request, templates, "Deprecated", services.template_deprecate)

    @admin.action(description="Reactivate: offer it again", permissions=["operate"])
    def reactivate(self, request: HttpRequest, templates: QuerySet[Template]) -> None:
        self._each(request, templates, "Reactivated", services.template_reactivate)
