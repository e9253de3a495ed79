"""What this package and its peers take, measured in turns; `make bench` runs it."""
