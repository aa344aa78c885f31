// The table of all ModelDeployments: filtered, sorted, and kept up to date.
import { ago, byId, fill, follow, h, show, word } from "/static/page.js";

const COLUMNS = [
  ["name", "Name", (row) => `${row.namespace}/${row.name}`],
  ["stage", "Stage", (row) => row.stage.text],
  ["stable", "Stable", (row) => row.stable],
  ["candidate", "Candidate", (row) => row.candidate],
  ["weight", "Weight", (row) => row.weight ?? -1],
  ["ready", "Ready", (row) => row.ready.text],
  ["since", "Since", (row) => row.since ?? ""],
  ["message", "Reason", (row) => row.message],
];
const GROUPS = [
  ["person", "needs a person"],
  ["trouble", "in trouble"],
  ["moving", "rolling out"],
  ["pending", "not ready"],
  ["calm", "serving"],
];
const ORDER = Object.fromEntries(GROUPS.map(([key], number) => [key, number]));
const FIRST_ROWS = 60;

const known = new Map(); // by namespace/name: {row, element}
const asked = new URLSearchParams(location.search);
const filter = {
  text: asked.get("q") ?? "",
  namespace: asked.get("namespace") ?? "",
  groups: new Set((asked.get("show") ?? "").split(",").filter(Boolean)),
  sort: asked.get("sort") ?? "",
  down: asked.has("down"),
};
let more = 0;

const collator = new Intl.Collator("en", { numeric: true });
const keyOf = (row) => `${row.namespace}/${row.name}`;

function makeRow(row) {
  const address = `/rollouts/${encodeURIComponent(row.namespace)}/${encodeURIComponent(row.name)}`;
  const bar = row.weight === null ? null : h("meter", { min: 0, max: 100, value: row.weight, "aria-label": `${row.weight}% of traffic` });
  return h("tr", { class: row.group },
    h("th", { scope: "row" }, h("span", { class: "dim" }, `${row.namespace}/`), h("a", { href: address }, row.name)),
    h("td", { "data-label": "Stage" }, word(row.stage), row.step && h("span", { class: "dim" }, ` ${row.step}`)),
    h("td", { "data-label": "Stable" }, row.stable || "-"),
    h("td", { "data-label": "Candidate" }, row.candidate || "-"),
    h("td", { "data-label": "Weight", class: "weight" }, bar ?? "", h("span", {}, row.weight === null ? "-" : `${row.weight}%`)),
    h("td", { "data-label": "Ready" }, word(row.ready)),
    h("td", { "data-label": "Since" }, ago(row.since)),
    h("td", { "data-label": "Reason", class: "reason", title: row.message }, row.message));
}

function fits(row) {
  if (filter.namespace && row.namespace !== filter.namespace) return false;
  if (filter.groups.size && !filter.groups.has(row.group)) return false;
  if (!filter.text) return true;
  const hay = `${row.namespace}/${row.name} ${row.stage.text} ${row.stable} ${row.candidate} ${row.message}`.toLowerCase();
  return filter.text.toLowerCase().split(/\s+/).every((part) => hay.includes(part));
}

function compare(one, other) {
  const column = COLUMNS.find(([key]) => key === filter.sort);
  if (!column) return ORDER[one.group] - ORDER[other.group] || collator.compare(keyOf(one), keyOf(other));
  const [left, right] = [column[2](one), column[2](other)];
  const order = typeof left === "number" ? left - right : collator.compare(left, right);
  return (filter.down ? -order : order) || collator.compare(keyOf(one), keyOf(other));
}

/** Draw what fits: the first screens at once, so that they are there early, the rest after it. */
function draw() {
  cancelIdleCallback(more);
  const found = [...known.values()].map(({ row }) => row).filter(fits).sort(compare);
  const elementOf = (row) => {
    const entry = known.get(keyOf(row));
    entry.element ??= makeRow(row);
    return entry.element;
  };
  byId("rows").replaceChildren(...found.slice(0, FIRST_ROWS).map(elementOf));
  if (found.length > FIRST_ROWS) {
    more = requestIdleCallback(() => byId("rows").append(...found.slice(FIRST_ROWS).map(elementOf)), { timeout: 500 });
  }
  byId("counted").textContent = known.size === 0
    ? "No ModelDeployments here yet."
    : `${found.length.toLocaleString("en")} of ${known.size.toLocaleString("en")} ModelDeployments`;
  drawFilters();
}

function drawFilters() {
  const counts = Object.fromEntries(GROUPS.map(([key]) => [key, 0]));
  const namespaces = new Set();
  for (const { row } of known.values()) {
    counts[row.group] += 1;
    namespaces.add(row.namespace);
  }
  for (const [key] of GROUPS) byId(`count-${key}`).textContent = counts[key];
  const select = byId("namespace");
  const wanted = [...namespaces].sort();
  if (filter.namespace && !namespaces.has(filter.namespace)) wanted.push(filter.namespace);
  if (select.dataset.names === wanted.join(" ")) return;
  select.dataset.names = wanted.join(" ");
  fill(select, h("option", { value: "" }, "all"), wanted.map((name) => h("option", { value: name }, name)));
  select.value = filter.namespace;
}

function drawHead() {
  fill(byId("head"), COLUMNS.map(([key, title]) => {
    const isSorted = filter.sort === key;
    const order = isSorted ? (filter.down ? "descending" : "ascending") : undefined;
    return h("th", { scope: "col", class: key, "aria-sort": order },
      h("button", { type: "button", class: "sort", onclick: () => sortBy(key) }, title, h("span", { "aria-hidden": "true" }, isSorted ? (filter.down ? " ↓" : " ↑") : "")));
  }));
}

/** Sort by a column, then the other way round, then by what needs attention again. */
function sortBy(key) {
  if (filter.sort !== key) [filter.sort, filter.down] = [key, false];
  else if (!filter.down) filter.down = true;
  else [filter.sort, filter.down] = ["", false];
  drawHead();
  changed();
  byId("head").querySelector(`.${key} button`).focus();
}

/** Draw anew, and keep the filters in the address, so that a link or a reload has them. */
function changed() {
  const words = new URLSearchParams();
  if (filter.text) words.set("q", filter.text);
  if (filter.namespace) words.set("namespace", filter.namespace);
  if (filter.groups.size) words.set("show", [...filter.groups].join(","));
  if (filter.sort) words.set("sort", filter.sort);
  if (filter.down) words.set("down", "");
  history.replaceState(null, "", words.size ? `?${words}` : location.pathname);
  draw();
}

function listen() {
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("text").value = filter.text;
  byId("text").addEventListener("input", (event) => { filter.text = event.target.value; changed(); });
  byId("namespace").addEventListener("change", (event) => { filter.namespace = event.target.value; changed(); });
  byId("groups").append(...GROUPS.map(([key, title]) => h("label", { class: `chip ${key}` },
    h("input", { type: "checkbox", checked: filter.groups.has(key), onchange: (event) => {
      if (event.target.checked) filter.groups.add(key); else filter.groups.delete(key);
      changed();
    } }), `${title} `, h("b", { id: `count-${key}` }, "0"))));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") { event.preventDefault(); byId("text").focus(); }
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  });
}

/** Move the focus by so many rows. */
function step(by) {
  const links = [...byId("rows").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

listen();
drawHead();
follow("/api/fleet", (_name, update) => {
  if (update.isWhole) known.clear();
  fill(byId("where"), update.scope, update.user && ` as ${update.user}`);
  for (const [namespace, name] of update.gone) known.delete(`${namespace}/${name}`);
  for (const row of update.rows) known.set(keyOf(row), { row, element: null });
  show("outage", update.outage);
  draw();
  if (known.size) requestAnimationFrame(() => setTimeout(() => performance.mark("rows"))); // painted
});
