// A metric over time: the candidate beside stable, the limit, and when something was decided.
import uPlot from "/static/vendor/uPlot.esm.js";

const HEIGHT = 150;
const EVIDENCE_HEIGHT = 68;
const drawn = new Map(); // by metric: {main, evidence, box}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

function formatFigure(unit, value) {
  if (value === null || value === undefined) return "";
  if (unit === "share") return `${+(value * 100).toPrecision(3)}%`;
  if (unit === "ms") return `${+value.toPrecision(4)} ms`;
  return `${+value.toPrecision(4)}`;
}

const short = (value) => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : `${value}`);

/** Draw a line at each moment that was decided, above the plot's own lines. */
function drawMoments(moments) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const moment of moments) {
      const x = Math.round(plot.valToPos(Date.parse(moment.at) / 1000, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = colour(moment.tone === "plain" ? "faint" : moment.tone);
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };
}

function axes(unit, values) {
  const base = { stroke: colour("dim"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return [
    { ...base, values: (_plot, splits) => splits.map((at) => clock(at)), space: 80, size: 22, gap: 2 },
    { ...base, values: (_plot, splits) => splits.map(values), space: 26, size: 62, gap: 4 },
  ];
}

/** Draw the limit from edge to edge: it holds before the first look, and until the next. */
function drawLimit(series) {
  return (plot) => {
    const known = series.limit.map((value, at) => [series.at[at], value]).filter(([, value]) => value !== null);
    if (!known.length) return;
    const { ctx, bbox } = plot;
    const y = (value) => Math.round(plot.valToPos(value, "y", true));
    ctx.save();
    ctx.strokeStyle = colour("bad");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y(known[0][1]));
    for (const [at, value] of known) {
      const x = Math.max(bbox.left, plot.valToPos(at, "x", true));
      ctx.lineTo(x, y(value));
    }
    ctx.lineTo(bbox.left + bbox.width, y(known.at(-1)[1]));
    ctx.stroke();
    ctx.restore();
  };
}

/** Room above the highest line, so that a limit is no edge; a flat zero gets a scale too. */
function range(_plot, low, high) {
  if (low === null) return [0, 1];
  const top = high === low ? (high || 1) * 1.2 : high + (high - low) * 0.12;
  return [Math.min(0, low), top || 1];
}

function span(series, moments) {
  const first = series.at[0] ?? Date.now() / 1000;
  const last = series.at.at(-1) ?? first;
  const since = moments.length ? Date.parse(moments[0].at) / 1000 : first;
  const begin = Math.min(first, Math.max(since, last - 3600));
  return [begin, Math.max(last, begin + 60)];
}

function makeMain(metric, moments, width, target) {
  const { series, unit } = metric;
  const format = (value) => formatFigure(unit, value);
  const points = { show: true, size: 5 };
  const shown = (_plot, value) => (value === null ? "-" : format(value));
  return new uPlot({
    width, height: HEIGHT, legend: { show: false }, padding: [8, 24, 0, 0],
    cursor: { sync: { key: "metrics" }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: true, range: () => span(series, moments) }, y: { range } },
    axes: axes(unit, format),
    series: [
      { value: (_plot, at) => (at === null ? "" : `${clock(at)} UTC`) },
      { label: "limit", stroke: "transparent", width: 0, points: { show: false }, value: shown },
      { label: "stable", stroke: colour("dim"), width: 1.75, points: { ...points, fill: colour("card"), stroke: colour("dim") }, value: shown },
      { label: "candidate", stroke: colour("accent"), width: 2.25, points: { ...points, fill: colour("accent"), stroke: colour("accent") }, value: shown },
    ],
    hooks: { draw: [drawMoments(moments), drawLimit(series)] },
  }, mainData(series), target);
}

const mainData = (series) => [series.at, series.limit, series.stable, series.candidate];
const evidenceData = ({ series }) => [series.at, series.samples];

function makeEvidence(metric, moments, width, target) {
  return new uPlot({
    width, height: EVIDENCE_HEIGHT, legend: { show: false }, padding: [4, 24, 6, 0],
    cursor: { sync: { key: "metrics" }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
    scales: { x: { time: true, range: () => span(metric.series, moments) }, y: { range } },
    axes: axes("", short).map((axis, number) => (number ? { ...axis, space: 18 } : { ...axis, show: false })),
    series: [
      {},
      { label: "counted", stroke: colour("accent"), fill: colour("wash"), width: 1.5, points: { show: false } },
    ],
    hooks: { draw: [drawMoments(moments)] },
  }, evidenceData(metric), target);
}

/** Draw or update the charts of a metric in its box. */
export function drawCharts(metric, moments, mainBox, evidenceBox) {
  const width = Math.max(200, Math.floor(mainBox.clientWidth));
  drawn.get(metric.name)?.destroy();
  const plots = [makeMain(metric, moments, width, mainBox)];
  if (metric.series.samples.some((count) => count)) plots.push(makeEvidence(metric, moments, width, evidenceBox));
  drawn.set(metric.name, { destroy: () => plots.forEach((plot) => plot.destroy()) });
}

/** Forget every chart: their boxes are gone. */
export function clearCharts() {
  for (const { destroy } of drawn.values()) destroy();
  drawn.clear();
}
