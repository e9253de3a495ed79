"""Does what a Dockerfile says in directories of this machine, where there is no Docker."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.reader import Reader

WORKDIR = "/app"


@dataclass
class Stage:
    """One stage: its file system below ``root``, and its variables."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass
class Docker:
    """``docker build`` for the instructions that the docs use; any other one is an error."""

    reader: Reader
    context: Path
    scratch: Path
    images: dict[str, Stage] = field(default_factory=dict)

    def build(self, dockerfile: str, **arguments: str) -> Stage:
        """Run each instruction and return the last stage. Raises ValueError for an unknown one."""
        defaults: dict[str, str] = {}
        stages: dict[str, Stage] = {}
        stage: Stage | None = None
        number = len(list(self.scratch.iterdir()))
        for line in _instructions(dockerfile):
            instruction, _, rest = line.partition(" ")
            if instruction == "FROM":
                base, _, name = _expand(rest, {**defaults, **arguments}).partition(" AS ")
                stage = Stage(self.scratch / f"{number}-{len(stages)}")
                parent = stages.get(base) or self.images.get(base)
                if parent is not None:
                    shutil.copytree(parent.root, stage.root)
                    stage.variables = dict(parent.variables)
                stage.root.mkdir(exist_ok=True)
                stages[name] = stage
            elif instruction == "ARG":
                name, _, default = rest.partition("=")
                scope = defaults if stage is None else stage.variables
                scope[name] = arguments.get(name, default)
            elif stage is None:
                raise ValueError(line)
            else:
                self._do(stage, stages, instruction, rest)
        assert stage is not None
        return stage

    def run(self, stage: Stage, command: str) -> str:
        """Run a command in a stage."""
        inside = Reader(stage.root, environment={**self.reader.environment, **stage.variables})
        return inside.output(command)

    def _do(self, stage: Stage, stages: dict[str, Stage], instruction: str, rest: str) -> None:
        if instruction == "WORKDIR":
            assert rest == WORKDIR
        elif instruction == "ENV":
            name, _, value = rest.partition("=")
            stage.variables[name] = _expand(value, stage.variables)
        elif instruction == "RUN":
            self.run(stage, rest)
        elif instruction == "CMD":
            stage.command = rest
        elif instruction == "COPY":
            _copy(_expand(rest, stage.variables), stage, stages, self.context)
        else:
            raise ValueError(instruction)


def _instructions(dockerfile: str) -> list[str]:
    lines = (line.strip() for line in dockerfile.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _expand(text: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: variables[match[1]], text)


def _copy(arguments: str, stage: Stage, stages: dict[str, Stage], context: Path) -> None:
    *options, source, target = arguments.split()
    root = context
    if options:
        root = stages[options[0].removeprefix("--from=")].root
    copied = root / source.removeprefix(WORKDIR).lstrip("/")
    path = stage.root / target.removeprefix(WORKDIR).lstrip("/")
    if copied.is_dir():
        shutil.copytree(copied, path, dirs_exist_ok=True)
    else:
        path = path / copied.name if path.is_dir() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(copied, path)
