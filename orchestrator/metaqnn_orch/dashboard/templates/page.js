// Chooses the page by its address. The page of all runs is here.
import { count, el, fixed, follow, moment, state } from "/static/parts.js";
import { showRun } from "/static/run.js";
import { showTrial } from "/static/trial.js";

const main = document.getElementById("main");
const crumbs = document.getElementById("crumbs");

const runs = () => {
  document.title = "Runs · MetaQNN";
  const body = el("tbody", {});
  const note = el("p", { className: "small" }, "reading the store …");
  const headings = [["run"], ["state"], ["dataset"], ["method"], ["nets", "n"], ["of", "n"], ["best", "n"], ["GPU-hours", "n"], ["last heard of"], ["note"]];
  main.replaceChildren(el("h1", {}, "Runs"), note, el("div", { className: "wide" }, el("table", {},
    el("thead", {}, el("tr", {}, ...headings.map(([name, numeric]) => el("th", { scope: "col", className: numeric ?? "" }, name)))), body)));
  const link = (run) => el("a", { href: `/runs/${encodeURIComponent(run)}` }, run);
  const row = (found) => {
    if (found.error) {
      return el("tr", {}, el("td", {}, link(found.run)), el("td", {}, state("damaged")),
        el("td", { className: "value", colSpan: 8 }, found.error + (found.hint ? ` (${found.hint})` : "")));
    }
    const cells = [found.dataset.replace(/-[0-9a-f]{16}$/, ""), found.method ?? "a list of nets", count(found.unique), count(found.goal),
      found.best ? fixed(4)(found.best.confirmed ? found.best.mean_reward : found.best.reward) : "-",
      fixed(2)(found.gpu_hours), moment(found.heard), found.trouble || found.ended_because];
    return el("tr", {}, el("td", {}, link(found.run)), el("td", {}, state(found.state)),
      ...cells.map((cell, number) => el("td", { className: headings[number + 2][1] ?? "" }, cell)));
  };
  follow("/api/runs", 5, ({ rows, reading, error }) => {
    body.replaceChildren(...rows.map(row));
    note.textContent = error ? `the store cannot be read now: ${error}` : reading ? "reading the store …"
      : rows.length ? `${count(rows.length)} ${rows.length === 1 ? "run" : "runs"}` : "no run yet: metaqnn-orch start begins one";
  });
};

const path = location.pathname.split("/").slice(1).map(decodeURIComponent);
if (path[0] !== "runs") {
  runs();
} else {
  crumbs.append("/ ", el("a", { href: `/runs/${encodeURIComponent(path[1])}` }, path[1]));
  if (path[2] === "trials") {
    crumbs.append(" / ", path[3]);
    document.title = `${path[3]} · ${path[1]}`;
    showTrial(main, path[1], path[3]);
  } else {
    document.title = `${path[1]} · MetaQNN`;
    showRun(main, path[1]);
  }
}
