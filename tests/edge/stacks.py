"""What CloudFormation makes of a template and of the parameters of a stack."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

import yaml

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "ap-northeast-1",
    "AWS::StackName": "my-site-static",
}
_NOTHING = object()


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def _function(loader: Any, suffix: str, node: Any) -> Any:
    construct = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda node: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda node: loader.construct_mapping(node, deep=True),
    }[type(node)]
    value = construct(node)
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


@cache
def load(text: str) -> Mapping[str, Any]:
    """The template in ``text``, read once: nobody may change it."""
    template: dict[str, Any] = yaml.load(text, _Loader)
    return template


class Stack:
    """The resources and outputs of a template with these parameters.

    References to parameters are resolved, those to resources stay.
    """

    def __init__(self, text: str, **parameters: str) -> None:
        self.template = load(text)
        declared = self.template["Parameters"]
        assert parameters.keys() <= declared.keys()
        self.parameters = {
            name: parameters.get(name, str(entry.get("Default", "")))
            for name, entry in declared.items()
        }
        for name, entry in declared.items():
            _check(name, entry, self.parameters[name])

    @cached_property
    def refusals(self) -> list[str]:
        """What the rules of the template say against the parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if self._is_true(rule.get("RuleCondition", {"Fn::Equals": ["", ""]}))
            for assertion in rule["Assertions"]
            if not self._is_true(assertion["Assert"])
        ]

    @cached_property
    def resources(self) -> dict[str, Any]:
        return self._existing("Resources")

    @cached_property
    def outputs(self) -> dict[str, Any]:
        return {name: entry["Value"] for name, entry in self._existing("Outputs").items()}

    def properties(self, name: str) -> Any:
        return self.resources[name]["Properties"]

    def named(self, kind: str) -> set[str]:
        """The logical ids of the resources of that type."""
        return {name for name, entry in self.resources.items() if entry["Type"] == kind}

    def resolved(self) -> dict[str, Any]:
        """A template without parameters and conditions."""
        described = self.template.get("Outputs", {})
        outputs = {
            name: {"Description": described[name]["Description"], "Value": value}
            for name, value in self.outputs.items()
        }
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Resources": self.resources,
            **({"Outputs": outputs} if outputs else {}),
        }

    def _existing(self, section: str) -> dict[str, Any]:
        return {
            name: self._value({key: value for key, value in entry.items() if key != "Condition"})
            for name, entry in self.template.get(section, {}).items()
            if "Condition" not in entry or self._is_true({"Condition": entry["Condition"]})
        }

    def _is_true(self, condition: Any) -> bool:
        ((name, value),) = condition.items()
        if name == "Condition":
            return self._is_true(self.template["Conditions"][value])
        if name == "Fn::Equals":
            first, second = map(self._value, value)
            return bool(first == second)
        return {"Fn::Not": lambda: not self._is_true(value[0])}.get(
            name, lambda: (any if name == "Fn::Or" else all)(map(self._is_true, value))
        )()

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._value, value) if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        ((name, argument),) = value.items() if len(value) == 1 else [("", None)]
        if name in self._functions:
            return self._functions[name](argument)
        evaluated = {key: self._value(item) for key, item in value.items()}
        return {key: item for key, item in evaluated.items() if item is not _NOTHING}

    @cached_property
    def _functions(self) -> Mapping[str, Callable[[Any], Any]]:
        return {
            "Ref": self._reference,
            "Fn::If": lambda item: self._value(
                item[1 if self._is_true({"Condition": item[0]}) else 2]
            ),
            "Fn::Join": self._joined,
            "Fn::Select": lambda item: self._value(item[1])[int(item[0])],
            "Fn::Split": lambda item: self._value(item[1]).split(item[0]),
            "Fn::Sub": self._substituted,
        }

    def _joined(self, argument: Any) -> Any:
        separator, items = argument[0], self._value(argument[1])
        if all(isinstance(item, str) for item in items):
            return separator.join(items)
        return {"Fn::Join": [separator, items]}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name not in self.parameters:
            return PSEUDO.get(name, {"Ref": name})
        is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
        return self.parameters[name].split(",") if is_list else self.parameters[name]

    def _substituted(self, argument: Any) -> Any:
        text, names = (argument, {}) if isinstance(argument, str) else argument
        values = {name: self._value(value) for name, value in names.items()}
        texts: Mapping[str, str] = {
            **PSEUDO,
            **self.parameters,
            **{name: value for name, value in values.items() if isinstance(value, str)},
        }
        text = re.sub(r"\$\{([\w:.]+)\}", lambda match: texts.get(match[1], match[0]), text)
        left = {name: value for name, value in values.items() if name not in texts}
        if left:
            return {"Fn::Sub": [text, left]}
        return {"Fn::Sub": text} if "${" in text else text


def _check(name: str, declared: Mapping[str, Any], value: str) -> None:
    """Fail where CloudFormation would refuse the value of a parameter."""
    if "AllowedValues" in declared:
        assert value in declared["AllowedValues"], name
    if "AllowedPattern" in declared:
        assert re.fullmatch(declared["AllowedPattern"], value), name
    if "MinValue" in declared:
        assert declared["MinValue"] <= int(value) <= declared.get("MaxValue", int(value)), name
