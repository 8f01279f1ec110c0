// What all pages are made of: elements, numbers as text, figures, and looking at the server again and again.

export const el = (name, properties = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

export const count = (value) => (value === null || value === undefined ? "-" : value.toLocaleString("en-US"));
export const fixed = (digits) => (value) =>
  value === null || value === undefined ? "-"
    : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const bytes = (size) => (size < 1e5 ? `${count(size)} bytes` : `${fixed(1)(size / 1e6)} MB`);
export const words = (name) => name.replaceAll("_", " ");
export const moment = (text) => {
  const at = new Date(text);
  return text && !Number.isNaN(at.valueOf()) ? at.toLocaleString() : (text || "-");
};

// A waiting time in one or two units.
export const span = (seconds) => {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${count(Math.floor(hours / 24))} d ${hours % 24} h`;
};

export const api = (...parts) => `/api/runs/${parts.map(encodeURIComponent).join("/")}`;

const faults = new Map(); // what is wrong now, by who found it
export const tell = (who, text) => {
  if (text) faults.set(who, text);
  else faults.delete(who);
  const place = document.getElementById("fault");
  place.hidden = !faults.size;
  place.textContent = [...new Set(faults.values())].join(" · ");
};

const sentence = (fault) => (fault.hint ? `${fault.message} (${fault.hint})` : fault.message);

// The answer of the server: {value, tag}, or an error whose `fault` says why there is none.
export const ask = async (address, kind = "json") => {
  let answer;
  try {
    answer = await fetch(address, { cache: "no-cache" });
  } catch {
    throw Object.assign(new Error(), { fault: { message: "the dashboard itself does not answer: is it still running?", hint: "", transient: true } });
  }
  if (answer.ok) return { value: await answer[kind](), tag: answer.headers.get("ETag") };
  const text = await answer.text();
  let fault = { message: text.trim() || answer.statusText, hint: "", transient: answer.status >= 500 };
  try { fault = JSON.parse(text); } catch { /* it was text */ }
  throw Object.assign(new Error(), { fault });
};

// Ask now and every few seconds, and show what has changed. Nobody asks for a page that nobody sees.
export const follow = (address, seconds, show, failed = () => {}) => {
  let seen = null;
  let waiting = 0;
  const look = async () => {
    if (!document.hidden) {
      try {
        const { value, tag } = await ask(address);
        tell(address, value && value.fault ? sentence(value.fault) : "");
        if (tag !== seen) show(value);
        seen = tag;
      } catch (error) {
        if (!error.fault) throw error;
        tell(address, sentence(error.fault));
        failed(error.fault);
      }
    }
    waiting = setTimeout(look, seconds * 1000);
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 0);
  });
  return look();
};

// A drawing of the server's in its place.
export const draw = async (place, address) => {
  try {
    const { value } = await ask(address, "text");
    const drawn = new DOMParser().parseFromString(value, "image/svg+xml").documentElement;
    if (drawn.nodeName !== "svg") throw Object.assign(new Error(), { fault: { message: "the drawing is damaged" } });
    place.replaceChildren(document.importNode(drawn, true));
    place.classList.remove("waiting");
  } catch (error) {
    if (!error.fault) throw error;
    place.replaceChildren(el("p", { className: "small" }, sentence(error.fault)));
  }
};

// Figures that are drawn when they come into view, and again when they are stale and in view.
const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    entry.target.inView = entry.isIntersecting;
    if (entry.isIntersecting && entry.target.stale && entry.target.address) refresh(entry.target);
  }
}, { rootMargin: "300px" });
const refresh = (place) => {
  place.stale = false;
  draw(place, place.address);
};
export const figure = (title, caption, address) => {
  const place = el("div", { className: "wide waiting" });
  Object.assign(place, { address, stale: true, inView: false });
  visible.observe(place);
  const made = el("figure", {}, el("h3", {}, title), place, el("figcaption", {}, caption));
  made.renew = (newAddress = place.address) => {
    place.address = newAddress;
    place.stale = true;
    if (place.inView) refresh(place);
  };
  return made;
};

export const table = (headings, rows) => el("div", { className: "wide" }, el("table", {},
  el("thead", {}, el("tr", {}, ...headings.map(([name, numeric]) => el("th", { scope: "col", className: numeric ? "n" : "" }, name)))),
  el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, number) =>
    el("td", { className: headings[number][1] ? "n" : "value" }, cell instanceof Node ? cell : String(cell ?? "-"))))))));

export const facts = (rows) => el("div", { className: "wide" }, el("table", { className: "facts" }, el("tbody", {},
  ...rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { className: "value" }, value instanceof Node ? value : String(value ?? "-")))))));

export const numbers = (pairs) => el("dl", { className: "numbers" },
  ...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

export const state = (name) => el("span", { className: `state ${name}` }, words(name));
