// The dialog of an action: what it does, why it is asked for, and the same as a command line.
import { byId, call, fill, h } from "/static/page.js";

/** Show a command line: each word stays whole where it fits, since a break after a hyphen reads as two words. */
function showCommand(target, words) {
  fill(target, words.flatMap((text, at) => [at > 0 && " ", h("span", {}, text)]));
}

// As a shell reads it: whatever a person types stays one word.
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function commandWords(action, argument, reason) {
  const [head, ...rest] = action.command.split(` ${action.verb} `);
  const words = rest.join(` ${action.verb} `).split(" ");
  const named = argument ? [words[0], argument, ...words.slice(1)] : words;
  return [...head.split(" "), action.verb, ...named, ...(reason ? [`--reason=${quote(reason)}`] : [])];
}

/** Ask for the reason, show the command line, and do it. */
export function ask(page, action) {
  const dialog = byId("asked");
  const reason = h("textarea", { id: "reason", rows: 3, maxlength: 1024, required: true });
  const argument = action.revisions.length > 0 && h("select", { id: "argument" },
    h("option", { value: "" }, page.position ? "back to stable" : "the one that served before"),
    action.revisions.map((text) => h("option", { value: text.split(" ")[0] }, text)));
  const command = h("code", { class: "command" });
  const said = h("p", { role: "status", class: "said" });
  const send = h("button", { type: "submit", class: "suggested", disabled: !action.isAllowed }, action.verb);
  const copied = h("span", { role: "status", class: "dim" });
  const copy = h("button", { type: "button", onclick: () => navigator.clipboard.writeText(command.textContent).then(() => { copied.textContent = "copied"; }) }, "Copy");

  const update = () => { showCommand(command, commandWords(action, argument ? argument.value : "", reason.value.trim())); };
  reason.addEventListener("input", update);
  if (argument) argument.addEventListener("change", update);
  update();

  const form = h("form", { method: "dialog", onsubmit: (event) => {
    event.preventDefault();
    perform();
  } },
    h("h2", { id: "asked-title" }, `${action.verb} ${page.namespace}/${page.name}`),
    h("p", {}, action.help),
    !action.isAllowed && h("p", { class: "word bad" }, `You may not: this ${action.whyNot}.`),
    argument && h("label", { for: "argument" }, "Where to ", argument),
    h("label", { for: "reason" }, "Reason, which the object keeps ", reason),
    h("p", { class: "caption" }, "The same on the command line:"),
    h("div", { class: "copied" }, command, copy, copied),
    said,
    h("div", { class: "buttons" }, send, h("button", { type: "button", onclick: () => dialog.close() }, "Close")));

  async function perform() {
    send.disabled = true;
    [said.className, said.textContent] = ["said", "Asking the operator …"];
    try {
      const answer = await call("/api/actions", { method: "POST", body: JSON.stringify({
        namespace: page.namespace, name: page.name, verb: action.verb, argument: argument ? argument.value : "",
        reason: reason.value.trim(), position: page.position,
      }) });
      const told = await answer.json();
      said.className = answer.ok ? "said word good" : "said word bad";
      said.textContent = answer.ok ? told.text : `${told.message}${told.try ? ` · try: ${told.try}` : ""}`;
    } catch {
      [said.className, said.textContent] = ["said word bad", "The program does not answer; whether the action was written is not known."];
    }
    send.disabled = !action.isAllowed;
  }

  fill(dialog, form);
  dialog.showModal();
  reason.focus();
}
