// A table of any number of rows, of which only those in view are elements: sorted by a heading, filtered by words.
import { el } from "/static/parts.js";

const HEIGHT = 30; // pixels of a row, as in dashboard.css
const MORE = 12; // rows above and below those in view

// A filter: all words must occur, and all comparisons, as in `reward>0.9 params<=20000`, must hold.
const wanted = (text, columns) => {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const found = word.match(/^([a-z_ .]+)(<=|>=|<|>|=)(-?[0-9.e+-]+)$/);
    const column = found && columns.find((one) => one.key === found[1] || one.title.toLowerCase().replaceAll(" ", "_") === found[1]);
    if (!column) return (row) => row.text.includes(word);
    const number = Number(found[3]);
    const compare = { "<": (a) => a < number, "<=": (a) => a <= number, ">": (a) => a > number, ">=": (a) => a >= number, "=": (a) => a === number };
    return (row) => typeof row[column.key] === "number" && compare[found[2]](row[column.key]);
  });
  return (row) => tests.every((test) => test(row));
};

export class RowTable {
  // `columns`: {key, title, width, numeric, show}; `said` is told how many rows are shown.
  constructor(columns, said) {
    this.columns = columns;
    this.said = said;
    this.rows = [];
    this.shown = [];
    this.used = columns;
    this.filter = "";
    this.order = null;
    this.head = el("tr", {});
    this.body = el("tbody", {});
    this.table = el("table", {}, el("thead", {}, this.head), this.body);
    this.element = el("div", { className: "wide rows", tabIndex: 0 }, this.table);
    this.element.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(this.element);
  }

  fill(rows) {
    this.rows = rows.map((row) => ({ ...row, text: `${row.trial} ${row.net} ${row.state.replaceAll("_", " ")}${row.estimated ? " estimated" : ""}`.toLowerCase() }));
    this.used = this.columns.filter(({ key }) => rows.some((row) => row[key] !== null && row[key] !== undefined));
    const longest = Math.ceil(Math.max(20, ...rows.map((row) => row.net.length)) * 7.9) + 24;
    const widths = this.used.map((column) => column.width ?? longest);
    this.table.style.width = `${widths.reduce((a, b) => a + b, 0)}px`;
    this.head.replaceChildren(...this.used.map((column, number) => {
      const button = el("button", { type: "button" }, column.title);
      button.addEventListener("click", () => this.sortBy(column));
      const cell = el("th", { scope: "col", className: column.numeric ? "n" : "", title: column.title }, button);
      cell.style.width = `${widths[number]}px`;
      return cell;
    }));
    this.mark();
    this.arrange();
  }

  search(text) {
    this.filter = text;
    this.element.scrollTop = 0;
    this.arrange();
  }

  sortBy(column) {
    const down = this.order && this.order.column === column ? !this.order.down : Boolean(column.numeric);
    this.order = { column, down };
    this.mark();
    this.arrange();
  }

  mark() {
    [...this.head.cells].forEach((cell, number) => {
      if (this.order && this.used[number] === this.order.column) cell.setAttribute("aria-sort", this.order.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  arrange() {
    const test = wanted(this.filter, this.columns);
    this.shown = this.rows.filter(test);
    if (this.order) {
      const { column: { key, numeric }, down } = this.order;
      const value = numeric ? (row) => row[key] ?? -Infinity : (row) => String(row[key] ?? "");
      const compare = numeric ? (a, b) => a - b : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      this.shown.sort((a, b) => (down ? compare(value(b), value(a)) : compare(value(a), value(b))));
    }
    this.element.style.height = `${(this.shown.length + 2.5) * HEIGHT}px`; // dashboard.css says how high it may be
    this.said(this.shown.length, this.rows.length);
    this.paint(true);
  }

  paint(anew = false) {
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - MORE);
    const last = Math.min(this.shown.length, first + Math.ceil(this.element.clientHeight / HEIGHT) + 2 * MORE);
    if (!anew && first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const blank = (rows) => {
      const made = el("td", { className: "blank", colSpan: this.used.length });
      made.style.height = `${rows * HEIGHT}px`;
      return el("tr", {}, made);
    };
    const cells = (row) => this.used.map((column) =>
      el("td", { className: column.numeric ? "n" : "" }, column.show(row[column.key], row)));
    this.body.replaceChildren(
      ...(first ? [blank(first)] : []),
      ...this.shown.slice(first, last).map((row) => el("tr", {}, ...cells(row))),
      ...(last < this.shown.length ? [blank(this.shown.length - last)] : []));
  }
}
