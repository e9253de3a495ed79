"""No page of their own: the tests ask for static files."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
