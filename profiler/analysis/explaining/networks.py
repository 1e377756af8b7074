"""A whole network in the words of a course: what holds the parameters, what does the work, and why."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from profiler.analysis.explaining.calls import times
from profiler.analysis.explaining.counting import others_on_network
from profiler.analysis.explaining.document import (
    Block,
    Explanation,
    Grid,
    Heading,
    Inline,
    Items,
    Name,
    Paragraph,
    Spans,
    sentence,
    spread,
)
from profiler.analysis.explaining.formulas import Formula
from profiler.calls import Tally
from profiler.columns import FIRST, Column
from profiler.formatting import bytes_text, ratio_text, share_text, thousands
from profiler.profiles import Profile
from profiler.records import ROOT, show_shapes
from profiler.schema import Table

NOUNS = {
    "conv": "Convolutions",
    "depthwise": "Depthwise convolutions",
    "linear": "Linear layers",
    "recurrent": "Recurrent layers",
    "attention": "Attention",
    "matmul": "Products of activations",
    "norm": "Normalizations",
    "activation": "Activations",
    "softmax": "Softmax",
    "pool": "Pooling",
    "embedding": "Embeddings",
    "elementwise": "Elementwise operations",
    "unused": "Parameters that nothing reads",
}
"""The kinds of work as the subject of a sentence."""

COSTLIEST = 6
"""The number of layers in the table of the costliest."""

SMALL = ("norm", "activation", "softmax", "pool", "elementwise", "reduction", "resample")
"""The kinds without MACs that are described together."""


def explain_network(profile: Profile) -> Explanation:
    """The explanation of the whole network."""
    return Explanation(profile.name, tuple(_Network(profile).blocks()))


@dataclass
class _Network:
    """The figures that the sentences are made of."""

    profile: Profile

    @cached_property
    def kinds(self) -> dict[str, dict[str, Any]]:
        """The rows of the table of shares by their kind."""
        return {row["kind"]: row for row in self.profile.tabulated("shares").records()}

    @cached_property
    def total(self) -> dict[str, Any]:
        """The row of totals."""
        return self.kinds["total"]

    @cached_property
    def forward(self) -> list[Tally]:
        """The calls of the forward pass."""
        return [tally for tally in self.profile.work.tallies if tally.call.phase == "forward"]

    @cached_property
    def forward_macs(self) -> Counts[str]:
        """The MACs of the forward pass by kind."""
        found: Counts[str] = Counts()
        for tally in self.forward:
            found[tally.call.kind] += tally.call.count.macs * tally.times
        return found

    @cached_property
    def comparisons(self) -> Counts[str]:
        """The comparisons by kind."""
        found: Counts[str] = Counts()
        for tally in self.profile.work.tallies:
            found[tally.call.kind] += tally.call.count.comparisons * tally.times
        return found

    def share(self, kind: str, figure: str) -> float:
        """The share of a kind in a figure of the whole; 0 of nothing."""
        whole = self.total[figure]
        return self.kinds[kind][figure] / whole if kind in self.kinds and whole else 0.0

    def uses(self, kind: str) -> float | None:
        """How often a parameter of this kind is used in the forward pass, on average: MACs / parameters."""
        parameters = self.kinds[kind]["parameters"]
        macs = self.forward_macs[kind]
        return macs / parameters if parameters and macs else None

    def blocks(self) -> Iterator[Block]:
        yield Heading(1, ("Why ", Name(self.profile.name), " costs what it costs"))
        yield Paragraph(tuple(self.introduction()))
        yield from self.missing()
        yield from self.by_kind()
        yield from self.lesson()
        yield from self.depthwise()
        yield from self.recurrent()
        yield from self.embedding()
        yield from self.attention()
        yield from self.costliest()
        yield from self.small()
        yield from self.training()
        yield from others_on_network(self.profile)

    def introduction(self) -> Iterator[str]:
        profile, total = self.profile, self.profile.total
        least = "" if profile.complete else "at least "
        yield f"On an input of {show_shapes(profile.input_shapes)}, in {profile.mode}, it has "
        yield f"{thousands(profile.parameters_total)} parameters ({bytes_text(profile.parameter_bytes)}) and does "
        yield f"{least}{thousands(total.multiplies)} multiplies and {thousands(total.adds)} adds, of which "
        yield f"{thousands(total.macs)} multiplies belong to multiply–accumulate pairs (MACs). With divides and "
        yield f"transcendental functions these are {thousands(total.flops)} FLOPs."

    def missing(self) -> Iterator[Block]:
        """What is not in the figures."""
        profile = self.profile
        if not profile.complete:
            rows = profile.tabulated("uncounted").records()
            items: list[Spans] = [
                (Name(row["op"]), f", called {times(row['calls'])}: not counted; at most about "
                 f"{thousands(row['bound'])} FLOPs if it is linear. ", row["reason"]) for row in rows
            ]  # fmt: skip
            items += [(Name(item.module or ROOT), f": {item.reason}") for item in profile.trace.unseen]
            yield Heading(2, ("What is missing",))
            yield Paragraph(
                ("The profile is partial. All figures are lower bounds, and shares are those of what is counted:",)
            )
            yield Items(tuple(items))
        if profile.exclude:
            yield Paragraph(("Without the excluded modules ", *spread([Name(text) for text in profile.exclude]), "."))
        if profile.trace.real_run:
            yield Paragraph((f"Counted on a real run: {profile.trace.real_run}. Other data may cost more or less.",))

    def by_kind(self) -> Iterator[Block]:
        rows = [
            [
                kind,
                row["parameters"],
                row["parameters"] / self.total["parameters"] if self.total["parameters"] else None,
                row["macs"],
                row["flops"],
                row["flops"] / self.total["flops"] if self.total["flops"] and row["flops"] is not None else None,
                self.uses(kind),
            ]
            for kind, row in self.kinds.items()
            if kind not in ("total", "excluded") and (row["parameters"] or row["flops"] or self.comparisons[kind])
        ]
        columns = (
            Column("kind", priority=FIRST),
            Column("parameters", "count", 3),
            Column("parameters_share", "share", 6, "share", of="parameters"),
            Column("macs", "count", 2, "MACs"),
            Column("flops", "count", 8, "FLOPs"),
            Column("flops_share", "share", 5, "share of FLOPs", of="flops"),
            Column("uses", "ratio", 4, "uses per parameter"),
        )
        yield Heading(2, ("Where the parameters and the work are",))
        if rows:
            yield Grid(Table.of("kinds", "By kind of work", columns, rows))
        if any(row[-1] is not None for row in rows):
            yield Paragraph(
                ("Uses per parameter = MACs of the forward pass / parameters: how often a weight is used.",)
            )

    def lesson(self) -> Iterator[Block]:
        """Linear layers against convolutions, or what holds the most and what does the most."""
        conv, linear = (
            self.uses("conv") if "conv" in self.kinds else None,
            self.uses("linear") if "linear" in self.kinds else None,
        )
        if conv is not None and linear is not None:
            yield Paragraph((self.holds_and_does("linear"), " ", self.holds_and_does("conv")))
            yield sentence(
                "The reason is how often a weight is used. A weight of a linear layer is used once for each row of "
                "its input; a weight of a convolution is used once for each position of its output. ",
                *self.quotient("linear"),
                " ",
                *self.quotient("conv"),
            )
            return
        for kind in ("conv", "linear"):
            if kind in self.kinds and self.uses(kind) is not None:
                yield Paragraph((self.holds_and_does(kind), " ", *self.quotient(kind)))

    def holds_and_does(self, kind: str) -> str:
        of = "multiplies" if self.profile.complete else "counted multiplies"
        return (
            f"{NOUNS[kind]} hold {share_text(self.share(kind, 'parameters'))} of the parameters and do "
            f"{share_text(self.share(kind, 'multiplies'))} of the {of}."
        )

    def quotient(self, kind: str) -> Spans:
        uses = self.uses(kind)
        macs, parameters = self.forward_macs[kind], self.kinds[kind]["parameters"]
        return (
            f"{NOUNS[kind]}: {thousands(macs)} MACs / {thousands(parameters)} parameters = {ratio_text(uses)[:-1]} "
            f"{'use' if uses == 1 else 'uses'}.",
        )

    def depthwise(self) -> Iterator[Block]:
        """Depthwise and pointwise convolutions, where there are depthwise ones."""
        macs: Counts[str] = Counts()
        for tally in self.forward:
            weight = next((spec for spec in tally.call.inputs[1:2] if spec.parameter and len(spec.shape) > 2), None)
            if weight is None or tally.call.kind not in ("conv", "depthwise"):
                continue
            channels = tally.call.inputs[0].shape[-len(weight.shape) + 1]
            sort = "dense"
            if weight.shape[1] == 1 and channels > 1:
                sort = "depthwise"
            elif weight.shape[1] == channels and all(size == 1 for size in weight.shape[2:]):
                sort = "pointwise"
            macs[sort] += tally.call.count.macs * tally.times
        whole = macs.total()
        if macs["depthwise"]:
            yield sentence(
                f"Depthwise convolutions, where a result reads a single channel, do {thousands(macs['depthwise'])} of "
                f"{thousands(whole)} MACs of all convolutions ({share_text(macs['depthwise'] / whole)}); pointwise "
                f"(1×1) ones, which mix the channels, do {thousands(macs['pointwise'])} "
                f"({share_text(macs['pointwise'] / whole)}).",
            )

    def attention(self) -> Iterator[Block]:
        """The part of a transformer that grows with the square of its tokens."""
        macs = self.forward_macs["attention"]
        if not macs:
            return
        yield Heading(2, ("Attention",))
        whole = self.forward_macs.total()
        yield sentence(
            f"The two products of attention, scores and weighted values, are {thousands(macs)} of {thousands(whole)} "
            f"MACs of the forward pass ({share_text(macs / whole)}). They have no parameters.",
        )
        lengths = self.lengths()
        if not lengths:
            return
        if all(queries == keys for queries, keys in lengths):
            tokens = max(lengths)[0]
            yield sentence(
                f"Here queries and keys have the same length (at most {thousands(tokens)}). The products grow with ",
                Inline(Formula("T**2")),
                ": twice the tokens cost four times as much, and linear layers twice as much.",
            )
            linear = self.forward_macs["linear"]
            if len(lengths) == 1 and linear:
                yield sentence(
                    f"Linear layers, {thousands(linear)} MACs, grow with T. Both would be equal at about T = "
                    f"{thousands(tokens)}·{thousands(linear)}/{thousands(macs)} ≈ "
                    f"{thousands(tokens * linear // macs)} tokens.",
                )
        elif all(queries == 1 for queries, _ in lengths):
            keys = max(keys for _, keys in lengths)
            yield sentence(
                f"Each head has one query, the next token, and {thousands(keys)} keys: the cost of a token "
                "grows with the number of tokens before it.",
            )

    def lengths(self) -> set[tuple[int, int]]:
        """The numbers of queries and keys of a sequence, in every call of attention whose shapes have them."""
        found = set()
        for tally in self.forward:
            scores = next((term for term in tally.call.terms if term.what == "scores"), None)
            if tally.call.kind == "attention" and scores is not None and len(scores.how_many) >= 2:
                found.add((scores.how_many[-2], scores.how_many[-1]))
        return found

    def recurrent(self) -> Iterator[Block]:
        if self.forward_macs["recurrent"]:
            yield sentence(
                self.holds_and_does("recurrent"),
                " A weight is used once at each step of each sequence. ",
                *self.quotient("recurrent"),
            )

    def embedding(self) -> Iterator[Block]:
        row = self.kinds.get("embedding")
        if row is not None and row["parameters"]:
            yield sentence(
                f"Embeddings hold {thousands(row['parameters'])} parameters "
                f"({share_text(self.share('embedding', 'parameters'))}) and cost nothing: their rows are looked up.",
            )
        unused = self.kinds.get("unused")
        if unused is not None and unused["parameters"]:
            yield Paragraph((f"No operation reads {thousands(unused['parameters'])} parameters.",))

    def costliest(self) -> Iterator[Block]:
        layers = self.profile.tabulated("layers").records()
        known = [row for row in layers if row["flops"]]
        ranked = sorted(known, key=lambda row: row["flops"], reverse=True)[:COSTLIEST]
        if not ranked:
            return
        rows = [
            [
                row["layer"],
                row["type"],
                row["parameters"],
                row["macs"],
                row["flops"],
                row["flops"] / self.total["flops"],
            ]
            for row in ranked
        ]
        columns = (
            Column("layer", "name", FIRST),
            Column("type", priority=7),
            Column("parameters", "count", 4),
            Column("macs", "count", 2, "MACs"),
            Column("flops", "count", 5, "FLOPs"),
            Column("flops_share", "share", 3, "share of FLOPs", of="flops"),
        )
        yield Heading(2, ("The costliest layers",))
        yield Grid(Table.of("costliest", "The costliest layers", columns, rows))
        largest = max(layers, key=lambda row: row["parameters"] or 0)
        if largest["parameters"]:
            share = largest["parameters"] / self.total["parameters"]
            yield sentence(
                "The most parameters are in ",
                Name(largest["layer"]),
                f": {thousands(largest['parameters'])} ({share_text(share)}).",
            )

    def small(self) -> Iterator[Block]:
        """Kinds without MACs."""
        items: list[Spans] = []
        for kind in SMALL:
            row = self.kinds.get(kind)
            comparisons = self.comparisons[kind]
            if row is None or not (row["flops"] or comparisons):
                continue
            counts = (
                [f"{thousands(row['flops'])} FLOPs ({share_text(self.share(kind, 'flops'))})"] if row["flops"] else []
            )
            counts += [f"{thousands(comparisons)} comparisons"] if comparisons else []
            items.append((f"{NOUNS.get(kind, kind.capitalize())}: {' and '.join(counts)}",))
        if items:
            yield Heading(2, ("Work without MACs",))
            yield Paragraph(
                ("This work sums no products. It counts in multiplies, adds and FLOPs; comparisons are in neither:",)
            )
            yield Items(tuple(items))

    def training(self) -> Iterator[Block]:
        if self.profile.mode != "training":
            return
        row = next(row for row in self.profile.tabulated("training").records() if row["layer"] == "total")
        yield Heading(2, ("Training",))
        parts = ("forward", "recompute", "input_gradient", "weight_gradient")
        texts = [f"{part.replace('_', ' ')} {thousands(row[f'{part}_macs'])}" for part in parts if row[f"{part}_macs"]]
        ratio = row["backward_forward_ratio"]
        yield Paragraph(
            (
                f"MACs of one step: {', '.join(texts)}.",
                *([f" The backward pass costs {ratio_text(ratio)} the forward pass."] if ratio else []),
            )
        )
        yield sentence(
            "If a layer has K MACs, the gradient for its input has K, and the gradient for its weight has K. The first "
            "layer needs no input gradient, and frozen layers need no weight gradient.",
        )
        if row["optimizer_flops"]:
            yield Paragraph((f"The optimizer does {thousands(row['optimizer_flops'])} FLOPs and no MACs.",))
