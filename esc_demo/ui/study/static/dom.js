// Small helpers. Text only ever becomes text, never markup.

/** An element; attributes that are false, null or undefined are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The title of a screen, which takes the focus when the screen is shown. */
export const heading = (text) => el("h1", { tabindex: "-1" }, text);

export const byId = (id) => document.getElementById(id);

const LINK = /(https:\/\/[^\s<>"]+[^\s<>".,;:!?)])/;

function linked(line) {
  return line.split(LINK).map((part, index) =>
    index % 2 ? el("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part,
  );
}

/** Paragraphs, lists of lines with "- ", headings with "# ", and web addresses as links. */
export function prose(text) {
  const blocks = text.trim().split(/\n\s*\n/).map((block) => {
    const lines = block.split("\n").map((line) => line.trim());
    if (lines.every((line) => /^[-*] /.test(line))) {
      return el("ul", {}, lines.map((line) => el("li", {}, linked(line.slice(2)))));
    }
    if (lines.length === 1 && /^#+ /.test(lines[0])) {
      return el("h2", {}, lines[0].replace(/^#+ /, ""));
    }
    return el("p", {}, linked(lines.join(" ")));
  });
  return el("div", { class: "prose" }, blocks);
}

/** A button that copies `text` and says so. */
export function copyButton(text, label) {
  const button = el("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the code and copy it";
    }
    setTimeout(() => (button.textContent = label), 2500);
  });
  return button;
}

/** Show a question in the shared dialog; resolves to what `read` returns, or null. */
export function ask(title, body, { yes, no = "Go back", danger = false, ready = () => true, read }) {
  const dialog = byId("ask");
  const confirm = el("button", { type: "submit", value: "yes", class: danger ? "danger" : "main" }, yes);
  const cancel = no && el("button", { type: "submit", value: "no", class: "quiet", formnovalidate: true }, no);
  const form = el("form", { method: "dialog" }, body, el("div", { class: "buttons" }, confirm, cancel));
  const refresh = () => (confirm.disabled = !ready());
  form.addEventListener("input", refresh);
  refresh();
  dialog.replaceChildren(el("h2", { id: "ask-title" }, title), form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) =>
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes" ? read() : null), {
      once: true,
    }),
  );
}
