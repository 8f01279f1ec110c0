"use strict";

// Values where one points: every mark of a figure carries its description.
const tip = document.getElementById("tip");
const show = (event) => {
  const mark = event.target.closest ? event.target.closest("svg path[aria-label]") : null;
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, window.innerWidth - width - 12);
  const above = event.clientY - height - 12;
  tip.style.left = `${Math.max(12, left)}px`;
  tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
};
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { capture: true, passive: true });

// Tables that sort by a column: numbers by data-value, text as it stands.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const body = heading.closest("table").tBodies[0];
    const numeric = heading.classList.contains("n");
    const before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric;
    const value = (row) => {
      const cell = row.cells[heading.cellIndex];
      return numeric ? Number(cell.dataset.value ?? "-Infinity") : cell.textContent;
    };
    const compare = (a, b) => (numeric ? a[0] - b[0] : a[0].localeCompare(b[0]));
    const rows = Array.from(body.rows, (row) => [value(row), row]);
    rows.sort((a, b) => (descending ? compare(b, a) : compare(a, b)));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...rows.map((row) => row[1]));
  });
}
