"""The tests ask for static files alone."""

urlpatterns: list[object] = []
