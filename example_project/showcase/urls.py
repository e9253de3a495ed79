"""The showcase, the editor and the API."""

from django.urls import path

from . import api, views

urlpatterns = [
    path("", views.home, name="home"),
    path("deploy/", views.deploy, name="deploy"),
    path("editor/", views.editor, name="editor"),
    path("api/", api.root, name="api-root"),
    path("api/build/", api.build, name="api-build"),
]
