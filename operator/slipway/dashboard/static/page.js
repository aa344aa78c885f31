// What both pages need: elements, the token, the stream, ages, and the theme.

const UNITS = [["d", 86400, "h", 3600], ["h", 3600, "m", 60], ["m", 60, "s", 1]];
const PAUSES = [500, 1000, 2000, 4000];

/** Make an element. Texts become text nodes: nothing of the cluster is ever read as HTML. */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Return a word in the colour of what it means. */
export const word = ({ text, tone }) => h("span", { class: `word ${tone}` }, text);

/** Put children in the place of what was there. */
export const fill = (parent, ...children) => parent.replaceChildren(...children.flat().filter(Boolean));

// The token comes behind the address's "#", which browsers send to nobody. It is kept for this
// origin, port included, so that links and reloads work; a cookie would go to every port.
function readToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    localStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return localStorage.getItem("token") ?? "";
}
const token = readToken();

export const call = (path, options = {}) =>
  fetch(path, { ...options, headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } });

/**
 * Follow a stream of server-sent events; `heard` gets each event's name and value.
 *
 * fetch and not EventSource, which cannot send the token. It is closed while the page is hidden: a
 * browser has six connections to a server, and every open page takes one.
 */
export function follow(path, heard) {
  const live = byId("live");
  let attempt = 0;
  let closing = null;

  async function connect() {
    closing = new AbortController();
    try {
      const answer = await call(path, { signal: closing.signal });
      if (!answer.ok) {
        const { message } = await answer.json().then((it) => it.error ?? it, () => ({ message: answer.statusText }));
        say("off", answer.status === 401 ? "open the address that the program printed" : message);
        show("outage", answer.status === 401
          ? "The token is missing or is of an earlier start: open the address that `kubectl slipway dashboard` printed."
          : message);
        if (answer.status === 401 || answer.status === 404) return;
        throw new Error(message);
      }
      attempt = 0;
      say("on", "live");
      await read(answer.body, heard);
      throw new Error("the stream ended");
    } catch (error) {
      if (closing.signal.aborted) return;
      say("off", "not live: the program does not answer");
      setTimeout(connect, PAUSES[Math.min(attempt++, PAUSES.length - 1)]);
    }
  }

  function say(state, text) {
    live.className = `live ${state}`;
    live.textContent = text;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) closing?.abort();
    else if (closing?.signal.aborted) connect();
  });
  connect();
}

async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [first, second] = part.split("\n");
      heard(first.slice("event: ".length), JSON.parse(second.slice("data: ".length)));
    }
  }
}

/** Show or hide a paragraph. */
export function show(id, text) {
  const found = byId(id);
  found.hidden = !text;
  found.textContent = text ?? "";
}

/** Return a duration as the command line writes it: 42s, 4m10s, 3h5m. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [large, unit, small, smaller] of UNITS) {
    if (whole < unit) continue;
    const left = Math.floor((whole % unit) / smaller);
    return `${Math.floor(whole / unit)}${large}` + (left ? `${left}${small}` : "");
  }
  return `${whole}s`;
}

/** Return an element that says how long ago that was, and goes on saying it. */
export function ago(moment, suffix = "") {
  if (!moment) return h("span", {}, "-");
  const at = new Date(moment);
  return h("time", { datetime: moment, title: at.toISOString(), "data-suffix": suffix }, ageText(at, suffix));
}

const ageText = (at, suffix) => duration((Date.now() - at) / 1000) + suffix;

setInterval(() => {
  for (const found of document.querySelectorAll("time[datetime]")) {
    const text = ageText(new Date(found.getAttribute("datetime")), found.dataset.suffix);
    if (found.textContent !== text) found.textContent = text;
  }
}, 1000);

const THEMES = ["auto", "dark", "light"];
const themeButton = byId("theme");

function applyTheme(theme) {
  if (theme === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }
  themeButton.textContent = `Theme: ${theme}`;
  document.dispatchEvent(new Event("themechange"));
}
themeButton.addEventListener("click", () => {
  const now = localStorage.getItem("theme") ?? "auto";
  applyTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
applyTheme(localStorage.getItem("theme") ?? "auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
