"""Where the pages are."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "Strata"
admin.site.site_title = "Strata"

urlpatterns = [
    path("", include("showcase.urls")),
    path("admin/", admin.site.urls),
]
