"""Profiles and reports → HTML for a notebook: plain tables that scripts make interactive where they can.

GitHub and other previews strip scripts, and a notebook may be offline, so everything is readable without them.  If
itables is installed, tables can be sorted and searched; if plotly is, the tree of modules is an icicle.  Both are taken
from the page if it has them (``itables.init_notebook_mode(connected=False)``), and else from where these libraries
themselves load them.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from profiler.columns import SUMMARIES
from profiler.formatting import format_table, headline, is_missing, is_numeric_column
from profiler.measures import find_measure
from profiler.printable import visible
from profiler.records import ROOT
from profiler.schema import Table

if TYPE_CHECKING:
    from profiler.profiles import Profile
    from profiler.render.report import Report
    from profiler.render.scatter import Landscape

MOST_ROWS = 60
"""The maximum number of rows of a table; the costliest are shown."""

COMPLETE = {"complete"}

MOST_COLUMNS = 9
"""The maximum number of columns of a table."""

MOST_NODES = 250
"""The maximum number of modules in an icicle; the costliest are shown."""

ICICLE = ("parameters", "multiplies", "adds", "macs", "flops")
"""The figures that an icicle can show."""


def profile_html(profile: Profile) -> str:
    """The headline, the shares, and the layers and modules below a heading that opens them."""
    from profiler.render.report import profile_report

    report = profile_report(profile)
    shares = profile.tabulated("shares")
    warnings = [note.text for note in report.notes if note.kind == "warning"]
    findings = [note.text for note in report.notes if note.kind == "finding"]
    parts = [
        f"<p><b>{escape(profile.name)}</b>: {escape(headline(profile))}</p>",
        *(f"<p><b>{escape(text)}</b></p>" for text in warnings),
        *(f"<p>{escape(text)}</p>" for text in findings),
        table_html(shares.without(["adds", "adds_share"])),
        folded("Layers", _layers(profile), profile, "layers"),
        folded("Modules", icicle(profile.tabulated("modules")), profile, "modules"),
        *_counters(profile),
    ]
    return "\n".join(filter(None, parts))


def _counters(profile: Profile) -> Iterator[str]:
    """The summary of the cross-check, if other counters were run."""
    if profile.counters:
        from profiler.tables.crosscheck import summary

        yield "<p><b>Cross-check</b></p>"
        yield table_html(summary(profile.work))
        different = profile.tabulated("crosscheck")
        different = different.where([bool(difference) for difference in different["difference"]])
        if len(different):
            yield folded("Layers that differ", table_html(different, interactive=True), profile, "crosscheck")


def report_html(report: Report) -> str:
    """A report on several profiles: its title, what was found, and its tables."""
    shown = [note for note in report.notes if note.kind != "method"]
    blocks = [f"<p><b>{escape(report.title)}</b></p>"]
    blocks += [f"<p>{'<b>' if note.kind == 'warning' else ''}{escape(note.text)}</p>" for note in shown]
    if report.landscape is not None:
        blocks.append(landscape_html(report.landscape))
    for table in report.tables:
        if table.shown is not None and len(table.shown):
            sortable = report.landscape is not None or len(table.shown) > 10
            blocks.append(table_html(table.shown, interactive=sortable))
    return "\n".join(blocks)


def landscape_html(landscape: Landscape) -> str:
    """Networks by their parameters and their work: a drawing, in whose place plotly's is shown if it is installed."""
    from profiler.render.scatter import drawing, front

    plain = drawing(landscape)
    if find_spec("plotly") is None:
        return plain
    best = set(front(landscape.points))
    data = {
        "names": [escape(network.name) for network in landscape.networks],
        "x": [network.work for network in landscape.networks],
        "y": [network.parameters for network in landscape.networks],
        "best": [place in best for place in range(len(landscape.networks))],
        "bound": [network.bound for network in landscape.networks],
        "figure": escape(landscape.figure),
    }
    script, name = _plotly_script(SCATTER_SCRIPT, data)
    return f'<div id="{name}" hidden="hidden"></div>\n<div>{plain}</div>{script}'


def escape(text: str) -> str:
    """Text as HTML shows it, with escapes for what would change its direction or cannot be shown."""
    return html.escape(visible(text, keep="\n"))


def folded(title: str, content: str, profile: Profile, table: str) -> str:
    """Content below a heading that opens it."""
    return (
        f"<details><summary>{title} (<code>profile.{table}</code>)</summary>\n{content}\n</details>" if content else ""
    )


def _layers(profile: Profile) -> str:
    """The costliest layers as a table, with a sentence if there are more."""
    table = profile.tabulated("layers")
    shown = _costliest(table)
    part = f"<p>The {len(shown)} costliest of {len(table):,} layers.</p>\n" if len(shown) < len(table) else ""
    return part + table_html(shown, interactive=True)


def _costliest(table: Table) -> Table:
    """The rows with the most FLOPs in their order, if there are too many."""
    if len(table) <= MOST_ROWS:
        return table
    costs = [number or 0 for number in table["flops"]]
    kept = set(sorted(range(len(table)), key=lambda place: costs[place], reverse=True)[:MOST_ROWS])
    return table.where([place in kept for place in range(len(table))])


def table_html(table: Table, *, interactive: bool = False) -> str:
    """A table as plain HTML with exact values for sorting; ``interactive`` also adds the script that makes it so."""
    table = _narrow(table)
    texts = format_table(table, missing="–")
    numeric = {name: is_numeric_column(table, name) for name in table}
    heads = [_cell("th", escape(column.heading), right=numeric[column.name]) for column in table.columns]
    rows = [f"<tr>{''.join(heads)}</tr>"]
    body = []
    values = {name: table[name] for name in table}
    columns = {column.name: column for column in table.columns}
    sortable = {name: interactive and number for name, number in numeric.items()}
    for place in range(len(table)):
        cells = [
            _cell(
                "td", _text(texts[name][place], column.unit), numeric[name], _order(values[name][place], sortable[name])
            )
            for name, column in columns.items()
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    content = f"<thead>{rows[0]}</thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody>"
    script = _table_script(content) if interactive and find_spec("itables") is not None else ("", "")
    name = f' id="{script[0]}"' if script[0] else ""
    return f'<div style="overflow-x: auto"><table{name}>\n{content}\n</table></div>{script[1]}'


def _narrow(table: Table) -> Table:
    """The table with its most important columns, as for a terminal; a status that is the same everywhere is none."""
    left = [column.name for column in table.columns if column.priority >= SUMMARIES]
    left += [column.name for column in table.columns if column.unit == "status" and set(table[column.name]) == COMPLETE]
    table = table.without(left)
    shown = {column.name for column in sorted(table.columns, key=lambda column: column.priority)[:MOST_COLUMNS]}
    return table.without(
        [column.name for column in table.columns if column.name not in shown or (column.of and column.of not in shown)]
    )


def _cell(tag: str, text: str, right: bool, order: str = "") -> str:
    side = "right" if right else "left"
    return f'<{tag}{order} align="{side}">{text}</{tag}>'


def _order(value: Any, numeric: bool) -> str:
    """The exact value, by which a script sorts."""
    return f' data-order="{-1 if is_missing(value) else value}"' if numeric else ""


def _text(text: str, unit: str) -> str:
    return f"<code>{escape(text)}</code>" if unit == "name" and text else escape(text)


def _identifier(content: str) -> str:
    """A name that only depends on the content, so that a notebook that is run again stays the same."""
    return "profiler-" + hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()[:12]


TABLE_SCRIPT = """
<script type="module">
try {
  const bundle = %(bundle)s;
  let loaded = window[%(offline)s];
  if (!loaded) {
    const link = {rel: "stylesheet", href: bundle.replace(/js$/, "css")};
    const style = Object.assign(document.createElement("link"), link);
    loaded = import(bundle).then(module => { document.head.append(style); return module; });
  }
  const {ITable} = await loaded;
  for (const table of document.querySelectorAll("#%(name)s:not(.dataTable)"))
    new ITable(table, {order: [], paging: %(paging)s, classes: ["display", "compact"]});
} catch (error) { console.info("The table stays plain: " + error); }
</script>"""


def _table_script(content: str) -> tuple[str, str]:
    """The identifier of the table and the script that makes it sortable and searchable."""
    from itables import __version__, options

    name = _identifier(content)
    values = {
        "name": name,
        "bundle": json.dumps(options.dt_url),
        "offline": json.dumps(f"_itables_{__version__.replace('.', '_').replace('-', '_')}"),
        "paging": json.dumps(content.count("<tr>") > 25),
    }
    return name, TABLE_SCRIPT % values


PLOTLY_SCRIPT = """
<script type="module">
try {
  const data = %(data)s;
  if (!window.Plotly) await new Promise((loaded, failed) => {
    const script = Object.assign(document.createElement("script"), {src: %(source)s, onload: loaded, onerror: failed});
    document.head.append(script);
  });
%(body)s} catch (error) { console.info("The picture of plotly is not drawn: " + error); }
</script>"""

ICICLE_SCRIPT = """\
  const figures = Object.keys(data.values);
  const button = figure => ({method: "restyle", label: figure, args: [{values: [data.values[figure]]}]});
  for (const place of document.querySelectorAll("#%(name)s")) {
    place.hidden = false;
    await window.Plotly.newPlot(place, [{
      type: "icicle", ids: data.ids, labels: data.labels, parents: data.parents, values: data.values[figures.at(-1)],
      branchvalues: "total", tiling: {orientation: "v"}, root: {color: "lightgray"},
      hovertemplate: "%%{id}<br>%%{value:,}<br>%%{percentRoot:.2%%} of the network<extra></extra>",
    }], {
      height: 420, margin: {t: 40, l: 0, r: 0, b: 0},
      updatemenus: [{type: "buttons", direction: "right", x: 0, xanchor: "left", y: 1.12,
                     active: figures.length - 1, buttons: figures.map(button)}],
    }, {responsive: true, displaylogo: false});
  }
"""

SCATTER_SCRIPT = """\
  const gray = "#6b7480", blue = "#1f6fbf";
  for (const place of document.querySelectorAll("#%(name)s")) {
    place.hidden = false;
    await window.Plotly.newPlot(place, [{
      type: "scatter", mode: "markers+text", x: data.x, y: data.y, text: data.names,
      textposition: "top center", cliponaxis: false,
      marker: {
        size: 9, symbol: data.bound.map(bound => bound ? "triangle-right" : "circle"),
        color: data.best.map(best => best ? blue : "rgba(255,255,255,0.9)"),
        line: {width: 1.5, color: data.best.map(best => best ? blue : gray)},
      },
      hovertemplate: "%%{text}<br>%%{x:,} " + data.figure + "<br>%%{y:,} parameters<extra></extra>",
    }], {
      height: 420, margin: {t: 40, l: 70, r: 40, b: 50}, hovermode: "closest", showlegend: false,
      xaxis: {type: "log", title: {text: data.figure}}, yaxis: {type: "log", title: {text: "parameters"}},
    }, {responsive: true, displaylogo: false});
    place.nextElementSibling.hidden = true;
  }
"""


def _plotly_script(body: str, data: dict[str, Any]) -> tuple[str, str]:
    """The script that draws ``data`` with plotly, and the identifier of the element that it draws in."""
    from plotly.offline import get_plotlyjs_version  # type: ignore[import-untyped, unused-ignore]

    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    name = _identifier(text)
    source = json.dumps(f"https://cdn.plot.ly/plotly-{get_plotlyjs_version()}.min.js")
    return PLOTLY_SCRIPT % {"data": text, "source": source, "body": body % {"name": name}}, name


def icicle(modules: Table) -> str:
    """The tree of modules as a table of the largest ones, and as an icicle if plotly is installed."""
    rows = [row for row in modules.records() if row["module"] != "(excluded)"]
    plain = table_html(_shallow(modules))
    deepest, shown = max(modules["depth"], default=0), max(_shallow(modules)["depth"], default=0)
    if shown < deepest:
        plain = f"<p>The {shown} upper of {deepest} levels.</p>\n{plain}"
    if find_spec("plotly") is None or len(rows) < 2:
        return plain
    script, name = _plotly_script(ICICLE_SCRIPT, _tree(rows))
    return f'<div id="{name}" hidden="hidden"></div>{script}\n{plain}'


def _shallow(modules: Table) -> Table:
    """The deepest level of the tree that has few enough rows."""
    depths = modules["depth"]
    most = 0
    while most < max(depths, default=0) and sum(depth <= most + 1 for depth in depths) <= MOST_ROWS // 2:
        most += 1
    return modules.where([depth <= most for depth in depths])


def _tree(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The modules as an icicle needs them: identifiers, labels, parents, and the values of each figure."""
    if len(rows) > MOST_NODES:
        ranked = sorted(rows, key=lambda row: (row["flops_total"] or 0, row["parameters_total"] or 0), reverse=True)
        kept = {row["module"] for row in ranked[:MOST_NODES]}
        rows = [row for row in rows if row["module"] in kept and _all_above(row["module"]) <= kept]
    names = [row["module"] for row in rows]
    return {
        "ids": [escape(name) for name in names],
        "labels": [escape(f"{row['module'].rpartition('.')[2]} {row['type']}".strip()) for row in rows],
        "parents": ["" if name == ROOT else escape(name.rpartition(".")[0] or ROOT) for name in names],
        "values": {find_measure(figure).heading: [row[f"{figure}_total"] or 0 for row in rows] for figure in ICICLE},
    }


def _all_above(name: str) -> set[str]:
    """The names of the modules that contain a module, without the network itself."""
    parts = name.split(".")[:-1]
    return {".".join(parts[: level + 1]) for level in range(len(parts))}
