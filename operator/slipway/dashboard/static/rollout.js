// One ModelDeployment: where it stands, what it is judged by, what comes, and what one may do.
import { ask } from "/static/actions.js";
import { clearCharts, drawCharts } from "/static/charts.js";
import { ago, byId, fill, follow, h, show, word } from "/static/page.js";

const [namespace, name] = location.pathname.split("/").slice(2).map(decodeURIComponent);
let page = null;
let next = [];
document.title = `${namespace}/${name} · Slipway`;

const section = (title, id, ...children) =>
  h("section", { class: "card", id, "aria-labelledby": `title-${id}` }, h("h2", { id: `title-${id}` }, title), ...children);

function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, at) => h("td", { "data-label": heads[at] }, cell)))))));
}

function drawTitle() {
  return h("section", { class: "title" },
    h("h1", {}, h("span", { class: "dim" }, `${namespace}/`), name, " ", word(page.stage)),
    h("p", { class: "headline" }, page.headline),
    page.message && h("p", { class: "message" }, page.message));
}

function drawTraffic() {
  if (!page.revisions.length) return null;
  const bar = h("div", { class: "traffic", role: "img", "aria-label": page.revisions.map((it) => `${it.role} ${it.weight}%`).join(", ") },
    page.revisions.filter((it) => it.weight).map((it) => {
      const part = h("span", { class: it.role });
      part.style.flexGrow = it.weight;
      return part;
    }));
  return section("Traffic", "revisions", bar,
    table("Revisions", ["Role", "Version", "Revision", "Weight", "Ready", "Since"], page.revisions.map((it) => [
      h("span", { class: `dot ${it.role}` }, it.role), h("b", {}, it.version), h("code", {}, it.revision), `${it.weight}%`, `${it.ready}`, ago(it.since),
    ])));
}

function drawSteps() {
  if (!page.rungs.length) return null;
  const marks = { done: "✓", now: "▶", ahead: "" };
  return section("Steps", "steps", h("ol", { class: "rungs" }, page.rungs.map((rung) =>
    h("li", { class: rung.state, "aria-current": rung.state === "now" ? "step" : undefined },
      h("span", { class: "mark", "aria-hidden": "true" }, marks[rung.state]),
      rung.state === "done" && h("span", { class: "hidden" }, "done: "), rung.text))));
}

function drawNext() {
  return h("ul", { id: "next" }, next.map((text) => {
    const at = text.indexOf(": kubectl ");
    return at < 0 ? h("li", {}, text) : h("li", {}, text.slice(0, at + 2), h("code", {}, text.slice(at + 2)));
  }));
}

function drawActions() {
  const button = (action) => h("button", {
    type: "button", class: action.isSuggested ? "suggested" : "", "aria-disabled": action.isAllowed ? undefined : "true",
    title: action.isAllowed ? action.help : action.whyNot, "data-verb": action.verb,
    onclick: () => ask(page, action),
  }, action.verb);
  const suggested = page.actions.filter((action) => action.isSuggested);
  const others = page.actions.filter((action) => !action.isSuggested);
  return [
    suggested.length > 0 && h("div", { class: "buttons" }, suggested.map(button)),
    h("details", { open: !suggested.length || undefined }, h("summary", {}, suggested.length ? "Other actions" : "Actions"),
      h("div", { class: "buttons" }, others.map(button))),
  ];
}

function drawMetric(metric) {
  const main = h("div", { class: "plot", "aria-hidden": "true" });
  const evidence = h("div", { class: "plot", "aria-hidden": "true" });
  const hasChart = metric.series.at.length > 0 && metric.series.candidate.some((value) => value !== null);
  const counted = metric.samples.toLocaleString("en") + (metric.stableSamples ? ` / ${metric.stableSamples.toLocaleString("en")}` : "");
  const card = h("article", { class: "metric" },
    h("h3", {}, metric.name, metric.role && h("span", { class: "dim" }, ` ${metric.role}`), " ", word(metric.verdict)),
    h("dl", {},
      h("div", {}, h("dt", {}, h("span", { class: "key candidate" }), "candidate"), h("dd", {}, metric.candidate)),
      h("div", {}, h("dt", {}, h("span", { class: "key stable" }), "stable"), h("dd", {}, metric.stable)),
      h("div", {}, h("dt", {}, h("span", { class: "key limit" }), "limit"), h("dd", {}, metric.limit)),
      h("div", {}, h("dt", {}, "counted"), h("dd", {}, counted)),
    ),
    hasChart && main,
    hasChart && h("p", { class: "caption" }, "requests of the candidate that count"),
    hasChart && evidence,
    metric.series.estimated > 0 && h("p", { class: "caption" }, `the first ${metric.series.estimated} values are from before this page; their times are estimates`),
    metric.finding && h("p", { class: "finding" }, metric.finding));
  return { card, hasChart, draw: () => hasChart && drawCharts(metric, page.moments, main, evidence) };
}

function drawMoments() {
  if (!page.moments.length) return null;
  return section("Decisions", "moments", h("ol", { class: "told", tabindex: "0" }, [...page.moments].reverse().map((moment) =>
    h("li", {}, ago(moment.at, " ago"), " ", h("span", { class: `word ${moment.tone}` }, moment.text)))));
}

function drawCases() {
  if (!page.casesNote) return null;
  const rows = page.cases.map((it) => [
    h("b", {}, it.name), h("code", {}, it.input || "-"), h("code", {}, it.expected || "-"), h("code", {}, it.got || "-"), it.text]);
  return section("Golden set", "golden", h("p", {}, page.casesNote),
    rows.length > 0 && table("Cases that disagree", ["Case", "Input", "Expected", "Got", "What disagrees"], rows));
}

function drawDifferences() {
  if (!page.differences.length) return null;
  return section("Answers that differ", "differences", table("Answers that differ", ["Request", "What differs"],
    page.differences.map((it) => [h("code", {}, it.input.slice(0, 19)), it.text])));
}

const drawRemarks = () => page.remarks.length > 0 && section("Besides", "remarks", h("dl", { class: "lines" },
  page.remarks.map((it) => h("div", {}, h("dt", {}, it.label), h("dd", { class: it.tone }, it.text)))));

const drawHistory = () => section("History", "history", page.history.length
  ? table("How revisions ended", ["Version", "Revision", "Outcome", "When", "Evidence skipped by", "Reason"], page.history.map((it) => [
    h("b", {}, it.version), h("code", {}, it.revision || "-"), word(it.outcome), ago(it.at, " ago"), it.unjudged || "-", it.reason]))
  : h("p", { class: "dim" }, "no revision has ended yet"));

const drawEvents = () => section("Events", "events", page.events.length
  ? table("Events", ["When", "Event", "Message"], page.events.map((it) => [
    h("span", {}, ago(it.at, " ago"), it.count > 1 && ` ${it.count}x`), h("span", { class: `word ${it.tone}` }, it.reason), it.message]))
  : h("p", { class: "dim" }, page.eventsNote || "the cluster keeps no event of it: they go after an hour by default"));

const drawConditions = () => section("Conditions", "conditions", table("Conditions", ["Condition", "Status", "Reason", "Since", "Message"],
  page.conditions.map((it) => [h("b", {}, it.type), word(it.status), it.reason, ago(it.since), it.message])));

const drawServing = () => page.serving.length > 0 && section("Clients and replicas", "serving", h("pre", { tabindex: "0" }, page.serving.join("\n")));

function draw() {
  const focused = document.activeElement?.dataset?.verb;
  const isOpen = document.querySelector("#actions details")?.open;
  clearCharts();
  const metrics = page.metrics.map(drawMetric);
  const [charts, rest] = [metrics.filter((it) => it.hasChart), metrics.filter((it) => !it.hasChart)];
  const cards = (kind, found) => found.length > 0 && h("div", { class: kind }, found.map(({ card }) => card));
  const note = `Charts begin when this program did, ${new Date(page.historySince).toISOString().slice(11, 19)} UTC; figures come every half minute, and at once when a verdict changes.`;
  fill(byId("page"),
    drawTitle(),
    h("div", { class: "columns" },
      h("div", {}, drawTraffic(), drawSteps()),
      h("div", {}, section("What happens next", "actions", drawNext(), drawActions()))),
    metrics.length > 0 && section("Evidence", "evidence", charts.length > 0 && h("p", { class: "dim" }, note), cards("metrics", charts), cards("metrics plain", rest)),
    page.hooks.length > 0 && section("Hooks", "hooks", h("dl", { class: "lines" }, page.hooks.map((it) => h("div", {}, h("dt", {}, it.label), h("dd", { class: it.tone }, it.text))))),
    drawCases(), drawDifferences(),
    h("div", { class: "columns" }, h("div", {}, drawMoments()), h("div", {}, drawRemarks())),
    drawHistory(), drawEvents(), drawConditions(), drawServing());
  for (const { draw: drawChart } of metrics) drawChart();
  if (isOpen) document.querySelector("#actions details").open = true;
  if (focused) document.querySelector(`[data-verb="${focused}"]`)?.focus();
}

follow(`/api/rollouts/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, (event, value) => {
  if (event === "rollout") {
    page = value;
    draw();
  } else if (event === "next" && page) {
    next = value.next;
    byId("next").replaceWith(drawNext());
    show("outage", value.outage);
  } else if (event === "gone") {
    show("outage", `${namespace}/${name} was deleted.`);
  }
});
document.addEventListener("themechange", () => page && draw());
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => page && draw(), 150);
});
