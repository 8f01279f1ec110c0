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
