"""The errors that end the demo with a sentence instead of a traceback."""

from collections.abc import Sequence


class DemoError(Exception):
    """A check of the demo failed."""


class CommandFailedError(DemoError):
    """A command of the site's `manage.py` ended with an error."""

    def __init__(self, command: str, output: str) -> None:
        self.command = command
        lines = [line for line in output.strip().splitlines() if line.strip()]
        super().__init__(f"{command} failed: {lines[-1] if lines else 'it printed nothing'}")


class ChecksFailedError(DemoError):
    """Answers were not what the manifest says."""

    def __init__(self, problems: Sequence[str], checked: int) -> None:
        self.problems = list(problems)
        more = f" ({len(problems) - 1} more like it)" if len(problems) > 1 else ""
        super().__init__(f"of {checked} assets checked, {problems[0]}{more}")
