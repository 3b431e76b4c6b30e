from django.urls import re_path

from templates_catalog.api import views

urlpatterns = [
    re_path(r"^templates/?$", views.TemplatesView.as_view()),
    re_path(r"^templates/(?P<name>[^/]+)/?$", views.TemplateView.as_view()),
]
