"""Two trees of modules → which module of one is which module of the other.

Below a pair of modules, their children are lined up: first those with the same name and type, then those in a longest
common sequence of types.  Modules that are left on both sides may have been wrapped, unwrapped, or be inside of
something else now, so everything below them is lined up in the same two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from profiler.analysis.sequences import Pairs, common


@dataclass(frozen=True)
class Tree:
    """Modules in the order of a tree, the network itself first, each directly before everything below it.

    ``contents`` are equal for modules that do not differ except in their names; ``ends`` are the numbers after the last
    module below each.
    """

    names: Sequence[str]
    types: Sequence[str]
    contents: Sequence[Hashable]
    children: Sequence[Sequence[int]]
    ends: Sequence[int]

    @classmethod
    def of(cls, modules: Iterable[tuple[str, str, Hashable]]) -> Tree:
        """The tree of modules, given as name, type and content in any order; a missing parent is skipped.

        One of them is the network itself, whose name is empty.
        """
        given = {name: (kind, content) for name, kind, content in modules}
        below: dict[str, list[str]] = {name: [] for name in given}
        for name in given:
            if name:
                below[_parent(name, given)].append(name)
        names: list[str] = []
        waiting = [""]
        while waiting:
            names.append(waiting.pop())
            waiting += reversed(below[names[-1]])
        numbers = {name: number for number, name in enumerate(names)}
        children = [[numbers[child] for child in below[name]] for name in names]
        ends = [number + 1 for number in range(len(names))]
        for number in reversed(range(len(names))):
            if children[number]:
                ends[number] = ends[children[number][-1]]
        kinds, contents = zip(*(given[name] for name in names), strict=True)
        return cls(names, kinds, contents, children, ends)

    def below(self, number: int, above: int) -> str:
        """The name of a module as seen from the module ``above`` it."""
        start = self.names[above]
        return self.names[number][len(start) + 1 if start else 0 :]

    @cached_property
    def parents(self) -> list[int]:
        """The number of the parent of each module; that of the network itself is its own."""
        parents = [0] * len(self.names)
        for number, children in enumerate(self.children):
            for child in children:
                parents[child] = number
        return parents


def _parent(name: str, known: Iterable[str]) -> str:
    """The nearest module above the one of this name."""
    while name:
        name = name.rpartition(".")[0]
        if name in known:
            break
    return name


def aligned(before: Tree, after: Tree) -> dict[int, int]:
    """For modules of ``before`` the number of the same module in ``after``, which has the same type.

    Only the networks themselves may differ in type.  ``aligned(b, a)`` has the same pairs.
    """
    if _order(before) > _order(after):
        return {one: other for other, one in _Alignment(after, before).pairs().items()}
    return _Alignment(before, after).pairs()


def _order(tree: Tree) -> tuple[int, str]:
    """By this order of trees the result does not depend on which is given first."""
    return len(tree.names), repr([*zip(tree.names, tree.types, tree.contents, strict=True)])


class _Alignment:
    """The alignment of two trees; ``whole`` has a number for each different subtree of both."""

    def __init__(self, before: Tree, after: Tree) -> None:
        self.before = before
        self.after = after
        known: dict[Hashable, int] = {}
        self.whole_before = _subtrees(before, known)
        self.whole_after = _subtrees(after, known)

    def pairs(self) -> dict[int, int]:
        found: dict[int, int] = {}
        waiting = [self._start()]
        while waiting:
            one, other = waiting.pop()
            found[one] = other
            waiting += self._below(one, other)
        return found

    def _start(self) -> tuple[int, int]:
        """The networks themselves, or one of them and the module of its type in which the other contains it."""
        before, after = self.before, self.after
        if before.types[0] == after.types[0]:
            return 0, 0
        inner = _contains(after, before)
        if inner:
            return 0, inner
        return _contains(before, after), 0

    def _below(self, one: int, other: int) -> Pairs:
        """The pairs among everything below two modules; what is below such a pair is not among them."""
        before, after = self.before, self.after
        left, right = before.children[one], after.children[other]
        named = _same_keys(
            left,
            right,
            lambda number: (before.below(number, one), before.types[number]),
            lambda number: (after.below(number, other), after.types[number]),
        )
        left, right = _without(left, right, named)
        typed = self._in_order(left, right)
        left, right = _without(left, right, typed)
        return [*named, *typed, *self._inside(one, other, left, right)]

    def _inside(self, one: int, other: int, left: Sequence[int], right: Sequence[int]) -> Pairs:
        """The pairs of modules that are, or are below, ``left`` and ``right``, which are below ``one`` and ``other``.

        Those with the same name below ``one`` and ``other`` come first.
        """
        if not left or not right:
            return []
        before, after = self.before, self.after
        every, others = _with_below(before, left), _with_below(after, right)
        named = _same_keys(
            every,
            others,
            lambda number: (before.below(number, one), before.types[number]),
            lambda number: (after.below(number, other), after.types[number]),
        )
        named = self._topmost(named)
        taken = {number for pair, _ in named for number in range(pair, before.ends[pair])}
        taken_too = {number for _, pair in named for number in range(pair, after.ends[pair])}
        rest = [number for number in every if number not in taken]
        return [*named, *self._topmost(self._in_order(rest, [n for n in others if n not in taken_too]))]

    def _topmost(self, pairs: Pairs) -> Pairs:
        """The pairs that are not below another one, on both sides; ``pairs`` are in the order of the first tree."""
        kept: Pairs = []
        end = 0
        closed: set[int] = set()
        for one, other in pairs:
            if one >= end and other not in closed:
                kept.append((one, other))
                end = self.before.ends[one]
                closed.update(range(other, self.after.ends[other]))
        return kept

    def _in_order(self, left: Sequence[int], right: Sequence[int]) -> Pairs:
        """The pairs of a longest common sequence of types; if several are as long, one with equal subtrees."""
        types = self.before.types, self.after.types
        typed = common([types[0][number] for number in left], [types[1][number] for number in right])
        equal = common([self.whole_before[number] for number in left], [self.whole_after[number] for number in right])
        found: Pairs = []
        start, start_right = 0, 0
        for end, end_right in [*equal, (len(left), len(right))]:
            between = common(
                [types[0][number] for number in left[start:end]],
                [types[1][number] for number in right[start_right:end_right]],
            )
            found += [(start + place, start_right + at) for place, at in between]
            found.append((end, end_right))
            start, start_right = end + 1, end_right + 1
        found.pop()
        best = found if len(found) == len(typed) else typed
        return [(left[place], right[at]) for place, at in best]


def _subtrees(tree: Tree, known: dict[Hashable, int]) -> list[int]:
    """A number for each subtree, equal if types, contents and names below the top are equal."""
    numbers = [0] * len(tree.names)
    for number in reversed(range(len(numbers))):
        parts = tuple((tree.below(child, number), numbers[child]) for child in tree.children[number])
        key = (tree.types[number], tree.contents[number], parts)
        numbers[number] = known.setdefault(key, len(known))
    return numbers


def _contains(outer: Tree, inner: Tree) -> int:
    """The first module of ``outer`` that has the type of the network ``inner`` and at least half of its children."""
    names = {(inner.below(child, 0), inner.types[child]) for child in inner.children[0]}
    for number in range(1, len(outer.names)):
        if outer.types[number] == inner.types[0]:
            found = {(outer.below(child, number), outer.types[child]) for child in outer.children[number]}
            if 2 * len(names & found) >= max(1, len(names)):
                return number
    return 0


def _same_keys(
    left: Iterable[int], right: Iterable[int], key: Callable[[int], Hashable], key_right: Callable[[int], Hashable]
) -> Pairs:
    """The pairs with equal keys, in the order of ``left``."""
    known = {key_right(number): number for number in right}
    return [(number, known[key(number)]) for number in left if key(number) in known]


def _without(left: Sequence[int], right: Sequence[int], pairs: Pairs) -> tuple[list[int], list[int]]:
    """What is in no pair."""
    taken, taken_right = {one for one, _ in pairs}, {other for _, other in pairs}
    return [one for one in left if one not in taken], [other for other in right if other not in taken_right]


def _with_below(tree: Tree, numbers: Iterable[int]) -> list[int]:
    """The modules and everything below them, in the order of the tree."""
    return [below for number in numbers for below in range(number, tree.ends[number])]
