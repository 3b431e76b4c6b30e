from django.urls import re_path

from templates_catalog.api import views

urlpatterns = [
    re_path(r"^templates/?$", views.TemplatesView.as_view()),
    # No template can have one of these names: schema.json.
    re_path(r"^templates/schema/?$", views.SchemaView.as_view()),
    re_path(r"^templates/categories/?$", views.CategoriesView.as_view()),
    re_path(r"^templates/popular/?$", views.PopularView.as_view()),
    re_path(r"^templates/initialize/?$", views.InitializeView.as_view()),
    re_path(r"^templates/(?P<name>[^/]+)/?$", views.TemplateView.as_view()),
]
