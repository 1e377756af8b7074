"use strict";
/* The page as a whole: light and dark, one view at a time, and tables that start when they come near the window. */
(() => {
  const { start, showAllRows, drawTree } = window.profilerPage;
  const root = document.documentElement;

  /* Light and dark: as the system prefers, until the reader chooses. */
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const stored = () => {
    try {
      return localStorage.getItem("profiler-theme");
    } catch {
      return null; // a browser may refuse it for files
    }
  };
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.textContent = isDark() ? "Light colors" : "Dark colors";
  };
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("profiler-theme", root.dataset.theme);
    } catch {
      // it lasts as long as the page
    }
    show();
  });
  prefersDark.addEventListener("change", show);
  button.hidden = false;
  show();

  /* Tables start when they are near the window. */
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        if (entry.target.classList.contains("tree")) drawTree(entry.target);
        else start(entry.target);
      }
    },
    { rootMargin: "600px 0px" },
  );
  for (const section of document.querySelectorAll("section.table, section.tree")) observer.observe(section);

  /* One view at a time: that of the address, or the first. */
  const views = [...document.querySelectorAll(".view")];
  const current = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    return target?.closest(".view") ?? views.find((view) => !view.hidden) ?? views[0];
  };
  const showView = () => {
    const view = location.hash ? current() : views[0];
    for (const other of views) other.hidden = other !== view;
    for (const nav of document.querySelectorAll("nav.contents")) nav.hidden = nav.dataset.view !== view.id;
    for (const link of document.querySelectorAll("nav.views a")) {
      if (link.hash === `#${view.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  if (views.length > 1) {
    addEventListener("hashchange", () => {
      const before = views.find((view) => !view.hidden);
      showView();
      const after = views.find((view) => !view.hidden);
      if (before === after) return;
      const target = document.getElementById(location.hash.slice(1)) ?? after;
      target.scrollIntoView();
      after.focus({ preventScroll: true });
    });
    showView();
  }

  /* Paper has all rows. */
  let restore = [];
  addEventListener("beforeprint", () => {
    restore = views.filter((view) => !view.hidden).map(showAllRows);
  });
  addEventListener("afterprint", () => {
    restore.forEach((again) => again());
    restore = [];
  });

  root.dataset.ready = "yes";
})();
