"""The parts of `demo.py`: an edge, the site, the references of its pages, and the checks."""
