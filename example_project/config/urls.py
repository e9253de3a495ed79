"""Where the pages are."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "django-versioned-storage"
admin.site.site_title = "django-versioned-storage"

urlpatterns = [
    path("", include("showcase.urls")),
    path("admin/", admin.site.urls),
]
