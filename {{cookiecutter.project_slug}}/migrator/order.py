"""The order of things that need each other, such as tables with foreign keys."""

from collections.abc import Mapping, Set
from graphlib import TopologicalSorter
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Any)  # it can be hashed and sorted


def ordered(parents: Mapping[Name, Set[Name]]) -> list[Name]:
    """Return the keys of `parents` in an order that has each name after those it maps to.

    The names of a circle, each of which leads to all of the others, stand together in that order. A
    name that only depends on a circle does not belong to it.
    """
    reached = {name: reachable(name, parents) for name in sorted(parents)}
    circle_of: dict[Name, tuple[Name, ...]] = {}
    for name in reached:
        others = [other for other in reached[name] if name in reached[other]]
        circle_of[name] = tuple(sorted({name, *others}))
    graph: TopologicalSorter[tuple[Name, ...]] = TopologicalSorter()
    for name in reached:
        circle = circle_of[name]
        needed = {circle_of[parent] for parent in parents[name]}
        graph.add(circle, *sorted(needed - {circle}))
    return [name for circle in graph.static_order() for name in circle]


def reachable(start: Name, parents: Mapping[Name, Set[Name]]) -> set[Name]:
    """Return the names that one leads to, directly or through others."""
    found: set[Name] = set()
    waiting = [start]
    while waiting:
        new = parents[waiting.pop()] - found
        found |= new
        waiting += sorted(new)
    return found
