"""The app with this site's own pages and static files."""

from django.apps import AppConfig


class ShowcaseConfig(AppConfig):
    name = "showcase"
