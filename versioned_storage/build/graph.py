"""The order in which files that refer to each other are hashed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


def groups(dependencies: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """Yield the files in groups, each after all groups that it depends on.

    A group is a single file or all files of a cycle, sorted. Names that are not a key of
    ``dependencies`` are ignored. This is Tarjan's algorithm for strongly connected components, with
    an explicit stack, because imports can be nested deeper than Python's recursion limit.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_names: list[str] = []
    still_open: set[str] = set()

    for root in sorted(dependencies):
        if root in index:
            continue
        walk = [(root, iter(sorted(dependencies[root])))]
        index[root] = low[root] = len(index)
        open_names.append(root)
        still_open.add(root)
        while walk:
            name, targets = walk[-1]
            for target in targets:
                if target not in dependencies:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    open_names.append(target)
                    still_open.add(target)
                    walk.append((target, iter(sorted(dependencies[target]))))
                    break
                if target in still_open:
                    low[name] = min(low[name], index[target])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == index[name]:
                    start = open_names.index(name)
                    group = open_names[start:]
                    del open_names[start:]
                    still_open.difference_update(group)
                    yield sorted(group)
