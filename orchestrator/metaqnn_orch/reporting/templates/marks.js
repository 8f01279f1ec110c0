"use strict";

// Values where one points: every mark of a figure carries its description. A small curve is shown larger.
const tip = document.getElementById("tip");
const show = (event) => {
  if (!event.target.closest) return;
  const cell = event.target.closest("td.curve");
  const mark = cell ? cell.querySelector("path") : event.target.closest("svg path[aria-label]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.replaceChildren(mark.getAttribute("aria-label"), ...(cell ? [mark.ownerSVGElement.cloneNode(true)] : []));
  const { width, height } = tip.getBoundingClientRect();
  const place = mark.getBoundingClientRect();
  const { x, y } = event.type === "focusin" ? { x: place.right, y: place.bottom } : { x: event.clientX, y: event.clientY };
  const left = Math.min(x + 14, window.innerWidth - width - 12);
  const above = y - height - 12;
  tip.style.left = `${Math.max(12, left)}px`;
  tip.style.top = `${above > 8 ? above : y + 18}px`;
};
document.addEventListener("focusin", show);
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { capture: true, passive: true });
