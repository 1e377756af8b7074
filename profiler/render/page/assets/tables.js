"use strict";
/* Tables: searching, sorting, paging, hidden columns, and the details of a module on demand. */
(() => {
  const DataTable = window.dataTables.default;
  const LONG = 300; // a table with more rows is shown in pages
  const SEARCHED = 7; // a table with more rows has a field for searching

  // The place of a value in its column: a small integer; negative if the value is missing, which is always last.
  const order = (a, b, sign) => {
    a = Number(a);
    b = Number(b);
    return a < 0 || b < 0 ? Number(a < 0) - Number(b < 0) || b - a : sign * (a - b);
  };
  DataTable.ext.type.order["place-asc"] = (a, b) => order(a, b, 1);
  DataTable.ext.type.order["place-desc"] = (a, b) => order(a, b, -1);
  DataTable.ext.errMode = "throw";

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const escaped = (text) =>
    text.replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);

  const grouped = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

  const parsed = new Map();
  const jsonOf = (script) => {
    if (!parsed.has(script)) parsed.set(script, JSON.parse(script.textContent));
    return parsed.get(script);
  };

  /* Numbers from the differences of neighbors. */
  const summed = (steps) => {
    let number = 0;
    return steps.map((step) => (number += step));
  };

  /* The rows of a long table: each is the list of the places of its values. */
  const rowsOf = (data) => data.columns[0].rows.map((_, row) => data.columns.map((column) => column.rows[row]));

  const textAt = (column, place) => (place >= 0 ? column.texts[place] : place === -1 ? "unknown" : "");

  const shown = (column, unit, place) => {
    const text = escaped(textAt(column, place));
    const value = place >= 0 && column.values ? column.values[place] : "";
    if (!value) return text;
    const bar = unit === "share" ? ` style="--share:${(100 * value).toFixed(2)}%"` : "";
    return `<data value="${escaped(value)}"${bar}>${text}</data>`;
  };

  const looks = (text, unit, place) => {
    if (place === -1) return "missing";
    if ((text === "0" || text === "0 %") && !["name", "text"].includes(unit)) return "zero";
    return ["status", "mark", "flag"].includes(unit) ? "flag" : unit === "name" ? "code" : "";
  };

  const columnDefinitions = (headings, data) =>
    headings.map((heading, number) => {
      const unit = heading.dataset.unit;
      const numeric = heading.classList.contains("n");
      const definition = {
        targets: number,
        type: "place",
        visible: !("hidden" in heading.dataset),
        className: numeric ? "n" : "",
        orderSequence: numeric ? ["desc", "asc", ""] : ["asc", "desc", ""],
      };
      if (!data) return definition;
      const column = data.columns[number];
      return {
        ...definition,
        cellType: number ? "td" : "th",
        render: (place, type) =>
          type === "display" ? shown(column, unit, place) : type === "filter" ? textAt(column, place) : place,
        createdCell: (cell, place) => {
          const text = textAt(column, place);
          const look = looks(text, unit, place);
          if (look) cell.classList.add(look);
          if (look === "flag") cell.dataset.state = text;
          if (!number) cell.scope = "row";
        },
      };
    });

  /* A list of check boxes, one for each column except the first. */
  const columnChooser = (title) => {
    const list = element("div");
    const chooser = element("details", { className: "columns" }, element("summary", {}, "Columns"), list);
    chooser.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !chooser.open) return;
      chooser.open = false;
      chooser.firstChild.focus();
    });
    document.addEventListener("click", (event) => {
      if (!chooser.contains(event.target)) chooser.open = false;
    });
    const fill = (api, labels) =>
      labels.forEach((label, number) => {
        if (!number) return;
        const box = element("input", { type: "checkbox", checked: api.column(number).visible() });
        box.addEventListener("change", () => api.column(number).visible(box.checked));
        list.append(element("label", {}, box, label));
      });
    chooser.firstChild.append(element("span", { className: "hide" }, ` of ${title}`));
    return { chooser, fill };
  };

  /* A check box that hides the rows that are the same on both sides; none if that would leave all rows or no row. */
  const differenceFilter = (headings, textOf, count) => {
    const mark = headings.findIndex((heading) => heading.dataset.unit === "mark");
    if (mark < 0) return null;
    const marks = Array.from({ length: count }, (_, row) => textOf(row, mark));
    const same = marks.filter((text) => text === "same").length;
    if (same === 0 || same === count) return null;
    const box = element("input", { type: "checkbox", checked: true });
    const apply = (api) =>
      api.search.fixed("differences", box.checked ? (text, data, row) => marks[row] !== "same" : null).draw();
    return { box, apply, label: element("label", { className: "filter" }, box, "Only what differs") };
  };

  const addOpeners = (row, name) => {
    const opener = element("button", { type: "button", className: "open" });
    opener.setAttribute("aria-expanded", "false");
    opener.setAttribute("aria-label", `Details of ${name}`);
    opener.dataset.module = name;
    row.cells[0].prepend(opener);
  };

  /* "3,888 multiplies, 3,744 adds; 3,888 MACs" */
  const costText = (cost, counted) => {
    const parts = counted.map((name, place) => [BigInt(cost[place] ?? 0), name]).filter(([number]) => number);
    const macs = parts.at(-1)?.[1] === "macs" ? `; ${grouped(parts.pop()[0])} MACs` : "";
    return (parts.map(([number, name]) => `${grouped(number)} ${name}`).join(", ") || "no arithmetic") + macs;
  };

  /* The derivation of a module's cost: its calls with shapes and terms, and its parameters. */
  const detailsOf = (data, name) => {
    const module = Object.hasOwn(data.modules, name) ? data.modules[name] : undefined;
    const box = element("div", { className: "detail" });
    if (!module) {
      box.append(element("p", {}, "Nothing more is known of this row."));
      return box;
    }
    if (module.calls !== undefined)
      box.append(element("p", {}, `${module.type}, ${grouped(module.calls)} call${module.calls === 1 ? "" : "s"}`));
    for (const [number, times, phase] of module.runs ?? []) {
      const [subject, inputs, outputs, ...calledTerms] = data.calls[number];
      const { op, kind, status, reason } = data.subjects[subject];
      const head = element("p", {}, element("span", { className: "op" }, op));
      head.append(`${times > 1 ? ` \u00d7 ${grouped(times)}` : ""}, ${kind}, ${phase}: ${inputs} \u2192 ${outputs}`);
      const run = element("div", { className: "run" }, head);
      if (reason) run.append(element("p", {}, `Not counted: ${reason}`));
      else if (status === "uncounted") run.append(element("p", {}, "Not counted: the operation has no rule."));
      else if (status === "free") run.append(element("p", { className: "cost" }, "Free: it moves data."));
      const terms = element("ul");
      for (const [what, formula, cost] of calledTerms) {
        const item = element("li", {}, `${what}: `, element("span", { className: "formula" }, formula));
        item.append(element("span", { className: "cost" }, ` = ${costText(cost, data.counted)}`));
        terms.append(item);
      }
      if (calledTerms.length) run.append(terms);
      if (calledTerms.length > 1 || times > 1) {
        const sum = (place) => calledTerms.reduce((total, term) => total + BigInt(term[2][place] ?? 0), 0n);
        const together = data.counted.map((_, place) => sum(place) * BigInt(times));
        if (together.some(Boolean)) run.append(element("p", {}, `Together: ${costText(together, data.counted)}`));
      }
      box.append(run);
    }
    if (module.moreRuns) box.append(element("p", {}, `And ${grouped(module.moreRuns)} more different calls.`));
    if (module.parameters) {
      const list = element("ul", {}, ...module.parameters.map(parameterItem));
      box.append(element("div", { className: "run" }, element("p", {}, "Parameters and buffers"), list));
      if (module.moreParameters) box.append(element("p", {}, `And ${grouped(module.moreParameters)} more.`));
    }
    return box;
  };

  const parameterItem = ([name, shape, size, marks]) => {
    const elements = /\u00d7/.test(shape) ? `${shape} = ${grouped(size)} elements` : `${grouped(size)} elements`;
    return element("li", {}, `${name}: ${elements}${marks ? ` (${marks})` : ""}`);
  };

  const toggleDetails = (api, opener, data) => {
    const row = api.row(opener.closest("tr"));
    const open = row.child.isShown();
    if (open) row.child.remove();
    else row.child(detailsOf(data, opener.dataset.module), "details").show();
    opener.setAttribute("aria-expanded", String(!open));
  };

  /* Makes one table of the page interactive; does nothing the second time. */
  const start = (section) => {
    const table = section.querySelector("table");
    if (!table || section.dataset.started) return;
    section.dataset.started = "yes";
    const script = section.querySelector("script.rows");
    const data = script && jsonOf(script);
    if (data) data.columns = data.columns.map(({ like, ...column }) => (like === undefined ? column : data.columns[like]));
    for (const column of data?.columns ?? []) {
      column.rows ??= summed(column.steps);
      column.texts ??= summed(column.integers).map(grouped);
    }
    const count = Number(table.dataset.rows);
    if (count < 1) return;
    const title = section.querySelector("h2, h3").textContent;
    const headings = [...table.tHead.rows[0].cells];
    const labels = headings.map((heading) => heading.textContent);
    const opens = table.dataset.opens;
    const details = opens && document.getElementById(opens).querySelector("script.details-data");
    if (data) table.tBodies[0].replaceChildren();
    else if (details)
      for (const row of table.tBodies[0].rows) addOpeners(row, row.cells[0].textContent);
    const { chooser, fill } = columnChooser(title);
    const cells = data ? [] : [...table.tBodies[0].rows].map((row) => [...row.cells]);
    const textOf = (row, column) =>
      data ? textAt(data.columns[column], data.columns[column].rows[row]) : cells[row][column].textContent;
    const filter = differenceFilter(headings, textOf, count);
    const long = count > LONG;
    const api = new DataTable(table, {
      autoWidth: false,
      order: [],
      paging: long,
      pageLength: 100,
      lengthMenu: [50, 100, 500, { label: "All", value: -1 }],
      columnDefs: columnDefinitions(headings, data),
      layout: {
        topStart: [count > SEARCHED ? "search" : null, filter && (() => filter.label)].filter(Boolean),
        topEnd: headings.length > 3 ? () => chooser : null,
        bottomStart: count > SEARCHED ? "info" : null,
        bottomEnd: long ? ["pageLength", "paging"] : null,
      },
      language: {
        search: "Search",
        info: "Rows _START_ to _END_ of _TOTAL_",
        infoEmpty: "No rows",
        infoFiltered: "(of _MAX_)",
        lengthMenu: "Rows _MENU_",
        zeroRecords: "No row matches.",
      },
      ...(data
        ? {
            data: rowsOf(data),
            deferRender: true,
            createdRow: (row, places) => details && addOpeners(row, textAt(data.columns[0], places[0])),
          }
        : {}),
    });
    fill(api, labels);
    if (filter) {
      filter.box.addEventListener("change", () => filter.apply(api));
      filter.apply(api);
    }
    section.querySelector(".scroll").classList.add("whole");
    for (const name of ["tabindex", "role", "aria-labelledby"]) section.querySelector(".scroll").removeAttribute(name);
    const box = section.querySelector(".dt-layout-table > .dt-layout-cell");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", title);
    section.querySelector(".dt-search input")?.setAttribute("aria-label", `Search ${title}`);
    if (details)
      table.addEventListener("click", (event) => {
        const opener = event.target.closest("button.open");
        if (opener) toggleDetails(api, opener, jsonOf(details));
      });
    started.set(section, api);
  };

  const started = new Map();

  /* Shows all rows of the long tables of a view; returns a function that shows pages again. */
  const showAllRows = (view) => {
    const changed = [];
    for (const section of view.querySelectorAll("section.table")) {
      start(section);
      const api = started.get(section);
      if (!api || api.page.len() === -1) continue;
      changed.push([api, api.page.len(), api.page()]);
      api.page.len(-1).draw(false);
    }
    return () => changed.forEach(([api, length, page]) => api.page.len(length).page(page).draw("page"));
  };

  window.profilerPage = { start, started, showAllRows, element, grouped, jsonOf };
})();
