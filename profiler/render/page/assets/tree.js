"use strict";
/* The tree of modules as an icicle: each module is as wide as its part of a figure, and below the module it is in. */
(() => {
  const { element, grouped, jsonOf } = window.profilerPage;
  const LEAST = 1.5; // pixels; narrower modules are not drawn
  const LABELED = 26; // pixels; narrower modules have no visible name
  const OWN_COLORS = ["conv", "depthwise", "linear", "attention", "recurrent", "matmul", "norm"];

  /* A share as percent; only an exact 0 or 1 is written 0 % or 100 %. */
  const shareText = (part, whole) => {
    if (part === 0n || part === whole) return part === 0n ? "0 %" : "100 %";
    const text = ((100 * Number(part)) / Number(whole)).toFixed(2);
    return text === "0.00" ? "<0.01 %" : text === "100.00" ? ">99.99 %" : `${text} %`;
  };

  class Icicle {
    constructor(section) {
      this.data = jsonOf(section.querySelector("script.tree-data"));
      for (const figure of this.data.figures) figure.values ??= this.data.figures[figure.like].values;
      this.partial = new Set(this.data.partial);
      this.children = this.data.parents.map(() => []);
      this.data.parents.forEach((parent, node) => parent >= 0 && this.children[parent].push(node));
      this.figure = Math.max(0, this.data.figures.findIndex((figure) => figure.label === "FLOPs"));
      this.root = 0;
      this.focused = 0;
      this.build(section);
      this.draw();
    }

    build(section) {
      const figures = element("fieldset", { className: "controls" }, element("legend", {}, "Width"));
      this.data.figures.forEach((figure, number) => {
        const box = element("input", { type: "radio", name: `${section.id}-figure`, checked: number === this.figure });
        box.addEventListener("change", () => {
          this.figure = number;
          this.draw();
        });
        figures.append(element("label", {}, box, figure.label));
      });
      this.up = element("button", { type: "button" }, "Zoom out");
      this.whole = element("button", { type: "button" }, "Whole network");
      this.up.addEventListener("click", () => this.zoom(this.data.parents[this.root]));
      this.whole.addEventListener("click", () => this.zoom(0));
      figures.append(element("span", { className: "zoom" }, this.up, this.whole));
      this.picture = element("div", { className: "icicle" });
      this.picture.setAttribute("role", "tree");
      this.picture.setAttribute("aria-label", "Modules; the tables below have the same figures");
      this.picture.addEventListener("click", (event) => this.act(event, (node) => this.zoom(node)));
      this.picture.addEventListener("mouseover", (event) => this.act(event, (node) => this.describe(node)));
      this.picture.addEventListener("focusin", (event) => this.act(event, (node) => this.describe(node)));
      this.picture.addEventListener("mouseleave", () => this.describe(this.focused));
      this.picture.addEventListener("keydown", (event) => this.key(event));
      this.readout = element("p", { className: "readout" });
      this.note = element("p", { className: "help" });
      const help =
        "Click a module, or press Enter, to zoom in; Escape zooms out; the arrow keys move. The blank part of a module" +
        " below its children is its own work.";
      section.append(figures, this.picture, this.readout, this.legend(), this.note);
      section.append(element("p", { className: "help" }, help));
      new ResizeObserver(() => this.picture.clientWidth !== this.width && this.draw()).observe(this.picture);
    }

    legend() {
      const legend = element("p", { className: "legend" });
      const kinds = [...new Set(this.data.kinds.map((kind) => this.colorOf(kind)))];
      for (const kind of [...OWN_COLORS, "other", "none"].filter((kind) => kinds.includes(kind))) {
        const key = element("span", { className: "key" });
        key.dataset.kind = kind;
        const words = { other: "other kinds of work", none: "no work of its own" };
        legend.append(element("span", {}, key, words[kind] ?? kind));
      }
      return legend;
    }

    colorOf(kind) {
      const name = this.data.kindNames[kind];
      return name === "" ? "none" : OWN_COLORS.includes(name) ? name : "other";
    }

    /* The last part of the name; the number of a module in a list has its type beside it. */
    shortName(node) {
      const name = this.data.names[node].split(".").pop();
      return /^\d+$/.test(name) ? `${name} ${this.data.typeNames[this.data.types[node]]}` : name;
    }

    exact(node) {
      const value = this.data.figures[this.figure].values[node];
      return value === null ? null : BigInt(value);
    }

    /* What a module is and does, in one line. */
    words(node) {
      const { label, bound } = this.data.figures[this.figure];
      const value = this.exact(node);
      const what = [this.data.typeNames[this.data.types[node]], this.data.kindNames[this.data.kinds[node]]].filter(Boolean).join(", ");
      const least = bound && this.partial.has(node) ? "\u2265" : "";
      const parts = [value === null ? `${label} unknown` : `${least}${grouped(value)} ${label}`];
      const all = this.exact(0);
      if (value !== null && all) parts.push(`${shareText(value, all)} of the network`);
      let own = 0n;
    const below = this.children[node].map((child) => this.exact(child));
      if (value !== null && below.length && !below.includes(null))
        own = value - below.reduce((sum, part) => sum + part, 0n);
    if (own) parts.push(`${grouped(own)} its own`);
      return [this.data.names[node], `${what ? ` (${what})` : ""}: ${parts.join(", ")}`];
    }

    describe(node) {
      const [name, rest] = this.words(node);
      this.readout.replaceChildren(element("span", { className: "name" }, name), rest);
    }

    draw() {
      this.width = this.picture.clientWidth;
      const values = this.data.figures[this.figure].values.map((value) => (value === null ? 0 : Number(value)));
      const above = [];
      for (let node = this.data.parents[this.root]; node >= 0; node = this.data.parents[node]) above.unshift(node);
      const places = above.map((node, level) => ({ node, level, left: 0, wide: 1, above: true }));
      let narrow = 0;
      let waiting = [{ node: this.root, level: above.length, left: 0, wide: 1 }];
      while (waiting.length) {
        const place = waiting.pop();
        places.push(place);
        let left = place.left;
        const inside = values[place.node];
        const below = [];
        for (const node of this.children[place.node]) {
          const wide = inside ? (place.wide * values[node]) / inside : 0;
          if (wide * this.width >= LEAST) below.push({ node, level: place.level + 1, left, wide });
          else if (values[node]) narrow += 1;
          left += wide;
        }
        waiting.push(...below.reverse());
      }
      this.places = new Map(places.map((place) => [place.node, place]));
      if (!this.places.has(this.focused)) this.focused = this.root;
      this.picture.replaceChildren(...places.map((place) => this.node(place)));
      this.picture.style.height = `${1.75 * (1 + Math.max(...places.map((place) => place.level)))}rem`;
      this.up.disabled = this.whole.disabled = this.root === 0;
      const { label } = this.data.figures[this.figure];
      this.note.textContent = !values[this.root]
        ? `No ${label} in ${this.data.names[this.root]}.`
        : narrow
          ? `${grouped(narrow)} module${narrow === 1 ? " is" : "s are"} too narrow to be drawn; zoom in to see more.`
          : "";
      this.describe(this.focused);
    }

    node({ node, level, left, wide, above }) {
      const drawn = element("div", { className: "node" }, this.shortName(node));
      if (above) drawn.classList.add("above");
      if (wide * this.width < LABELED) drawn.classList.add("narrow");
      drawn.dataset.node = node;
      drawn.dataset.kind = this.colorOf(this.data.kinds[node]);
      drawn.tabIndex = node === this.focused ? 0 : -1;
      drawn.setAttribute("role", "treeitem");
      drawn.setAttribute("aria-level", level + 1);
      drawn.setAttribute("aria-label", this.words(node).join(""));
      if (this.children[node].length) drawn.setAttribute("aria-expanded", "true");
      Object.assign(drawn.style, { left: `${100 * left}%`, width: `${100 * wide}%`, top: `${1.75 * level}rem` });
      return drawn;
    }

    act(event, action) {
      const drawn = event.target.closest(".node");
      if (drawn) action(Number(drawn.dataset.node));
    }

    zoom(node) {
      if (node < 0) return;
      this.root = node;
      this.focused = node;
      const inside = this.picture.contains(document.activeElement);
      this.draw();
      if (inside) this.focus(node);
    }

    focus(node) {
      if (node === undefined || !this.places.has(node)) return;
      this.picture.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      this.focused = node;
      const drawn = this.picture.querySelector(`[data-node="${node}"]`);
      drawn.tabIndex = 0;
      drawn.focus();
    }

    key(event) {
      const node = this.focused;
      const { level, left } = this.places.get(node);
      const beside = [...this.places.values()].filter((place) => place.level === level).sort((a, b) => a.left - b.left);
      const next = (step) => beside[beside.findIndex((place) => place.left === left) + step]?.node;
      const below = this.children[node].find((child) => this.places.has(child));
      const actions = {
        ArrowDown: () => this.focus(below),
        ArrowUp: () => this.focus(this.data.parents[node]),
        ArrowLeft: () => this.focus(next(-1)),
        ArrowRight: () => this.focus(next(1)),
        Home: () => this.zoom(0),
        Enter: () => this.zoom(node),
        " ": () => this.zoom(node),
        Escape: () => this.zoom(this.data.parents[this.root]),
      };
      if (!Object.hasOwn(actions, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[event.key]();
    }
  }

  window.profilerPage.drawTree = (section) => new Icicle(section);
})();
