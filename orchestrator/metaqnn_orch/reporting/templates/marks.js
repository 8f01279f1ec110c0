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
