// The questions of one item: rows of points, the preference, and the keyboard.

import { byId, el } from "./dom.js";

const CANNOT = "cannot_judge";
let rowNumber = 0;

/** One row of points 0-5 and "cannot judge"; nothing is preselected. */
function scoreRow(owner, scale, cannot, value, changed) {
  const id = `row-${(rowNumber += 1)}`;
  const said = el("p", { class: "anchor", id: `${id}-said`, "aria-hidden": "true" });
  const words = (point) => (point === CANNOT ? cannot.meaning : scale.points[Number(point)]);
  const ends = () => [el("b", {}, "0"), ` ${scale.points[0]} `, el("b", {}, "5"), ` ${scale.points[5]}`];
  const say = (point) =>
    said.replaceChildren(...(point === undefined ? ends() : [el("b", {}, point === CANNOT ? "–" : point), ` ${words(point)}`]));
  const inputs = [...scale.points.map((_, point) => String(point)), CANNOT].map((point) =>
    el("input", {
      type: "radio",
      name: id,
      value: point,
      checked: String(value) === point,
      "aria-label": point === CANNOT ? `${cannot.title}. ${words(point)}` : `${point}. ${words(point)}`,
    }),
  );
  const chosen = () => inputs.find((input) => input.checked)?.value;
  const settle = () => say(chosen());
  const labels = inputs.map((input) => {
    const label = el(
      "label",
      { class: input.value === CANNOT ? "point cannot" : "point" },
      input,
      el("span", { "aria-hidden": "true" }, input.value === CANNOT ? cannot.title : input.value),
    );
    // Only a hand that moves: scrolling under a resting mouse tells nothing.
    label.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && (event.movementX || event.movementY)) say(input.value);
    });
    input.addEventListener("focus", () => say(chosen() ?? input.value));
    input.addEventListener("change", () => {
      settle();
      changed();
    });
    return label;
  });
  const name = owner ? `${owner}, ${scale.title}` : scale.title;
  const node = el(
    "div",
    { class: "row", role: "radiogroup", "aria-labelledby": `${id}-t ${id}-q`, "aria-required": "true" },
    el("h3", { id: `${id}-t`, "aria-label": name }, scale.title),
    el("p", { class: "question", id: `${id}-q` }, scale.question),
    el("div", { class: "points" }, labels),
    said,
  );
  node.addEventListener("mouseleave", settle);
  node.addEventListener("focusout", (event) => node.contains(event.relatedTarget) || settle());
  settle();
  return {
    node,
    name,
    inputs,
    value: () => (chosen() === undefined ? undefined : chosen() === CANNOT ? CANNOT : Number(chosen())),
    /** The input a key stands for, if any. */
    byKey: (key) => (/^[0-5]$/.test(key) ? inputs[Number(key)] : key.toLowerCase() === "c" ? inputs[6] : null),
  };
}

/** The comparison, answered with 1 to 4. */
function choiceRow(preference, value, changed) {
  const id = `row-${(rowNumber += 1)}`;
  const inputs = preference.choices.map((choice) =>
    el("input", { type: "radio", name: id, value: choice.value, checked: value === choice.value }),
  );
  const labels = inputs.map((input, index) => {
    input.addEventListener("change", changed);
    return el(
      "label",
      { class: "choice" },
      input,
      el("kbd", { "aria-hidden": "true" }, String(index + 1)),
      el("span", {}, preference.choices[index].title),
    );
  });
  return {
    node: el(
      "div",
      { class: "row prefer", role: "radiogroup", "aria-labelledby": `${id}-t`, "aria-required": "true" },
      el("h3", { id: `${id}-t` }, preference.question),
      el("div", { class: "choices" }, labels),
    ),
    name: "Which reply is better",
    inputs,
    value: () => inputs.find((input) => input.checked)?.value,
    byKey: (key) => (/^[1-4]$/.test(key) ? (inputs[Number(key) - 1] ?? null) : null),
  };
}

/**
 * The form of an item. `columns` are {title, body}: what is judged, side by side.
 * `answers` is changed in place; `submit` is called with the complete answers.
 */
export class ItemForm {
  constructor({ item, columns, answers, changed, submit, submitLabel, buttons = [], extra = null }) {
    this.answers = answers;
    this.onSubmit = submit;
    this.busy = false;
    const note = () => {
      this.read();
      this.clearProblem();
      changed();
    };
    const rowsOf = (index) =>
      item.rows.map((scale) =>
        scoreRow(columns.length > 1 ? columns[index].title : "", scale, item.cannot_judge, answers.scores[index]?.[scale.id], note),
      );
    this.sides = columns.map((_, index) => rowsOf(index));
    this.once = item.asked_at_end.map((scale) => scoreRow("", scale, item.cannot_judge, answers.once[scale.id], note));
    this.choice = item.preference ? choiceRow(item.preference, answers.preference, note) : null;
    this.rows = [...this.sides.flat(), ...this.once, ...(this.choice ? [this.choice] : [])];
    this.scales = item.rows;
    this.atEnd = item.asked_at_end;
    this.problem = el("p", { class: "problem", role: "alert" });
    this.button = el("button", { type: "submit", class: "main big" }, submitLabel);
    this.comment = el("textarea", { rows: "2", maxlength: "2000", dir: "auto" });
    this.comment.value = answers.comment || "";
    this.comment.addEventListener("input", note);
    this.node = el(
      "form",
      { class: "item", novalidate: true, autocomplete: "off" },
      el(
        "div",
        { class: columns.length > 1 ? "sides two" : "sides" },
        columns.map((column, index) =>
          el("section", { class: "side", "aria-label": column.title }, column.body, this.sides[index].map((row) => row.node)),
        ),
      ),
      this.once.map((row) => row.node),
      this.choice?.node,
      el("details", { class: "comment", open: Boolean(answers.comment) }, el("summary", {}, "Add a comment (optional)"),
        el("label", {}, el("span", { class: "sr" }, "Comment"), this.comment)),
      extra,
      this.problem,
      el("div", { class: "buttons" }, this.button, buttons),
    );
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
  }

  /** Copy what is ticked into the answers. */
  read() {
    this.sides.forEach((rows, index) => {
      this.answers.scores[index] = scored(this.scales, rows);
    });
    Object.assign(this.answers.once, scored(this.atEnd, this.once));
    this.answers.preference = this.choice?.value() ?? null;
    this.answers.comment = this.comment.value;
  }

  missing() {
    return this.rows.filter((row) => row.value() === undefined);
  }

  async send() {
    if (this.busy) return;
    this.read();
    const missing = this.missing();
    if (missing.length) {
      const names = missing.slice(0, 4).map((row) => row.name).join("; ");
      const more = missing.length > 4 ? ` and ${missing.length - 4} more` : "";
      this.say(`Still to answer: ${names}${more}. "Cannot judge" counts as an answer.`);
      missing.forEach((row) => row.node.classList.add("missing"));
      enter(missing[0]);
      return;
    }
    this.lock(true);
    try {
      await this.onSubmit(this.answers);
    } catch (error) {
      this.say(error.message);
    } finally {
      this.lock(false);
    }
  }

  lock(busy) {
    this.busy = busy;
    this.button.setAttribute("aria-disabled", String(busy));
  }

  say(text) {
    this.problem.textContent = text;
    this.problem.scrollIntoView({ block: "nearest" });
  }

  clearProblem() {
    this.problem.textContent = "";
    for (const row of this.rows) if (row.value() !== undefined) row.node.classList.remove("missing");
  }

  /** A key pressed anywhere on the page; true when it meant something here. */
  key(event) {
    const at = this.rows.findIndex((row) => row.node.contains(document.activeElement));
    if (event.key === "Enter") {
      if (event.target.closest("button, a, summary")) return false;
      if (!event.repeat) this.send();
      return true;
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (at < 0) return false;
      const next = at + (event.key === "ArrowDown" ? 1 : -1);
      if (this.rows[next]) enter(this.rows[next]);
      else if (next > 0) this.button.focus();
      return true;
    }
    const on = at < 0 ? this.rows.indexOf(this.missing()[0]) : at;
    const input = event.repeat ? null : this.rows[on]?.byKey(event.key);
    if (!input) return false;
    input.checked = true;
    input.dispatchEvent(new Event("change"));
    if (this.rows[on + 1]) enter(this.rows[on + 1]);
    else this.button.focus();
    return true;
  }
}

function scored(scales, rows) {
  const entries = rows.map((row, index) => [scales[index].id, row.value()]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** Put the focus into a row without choosing anything. */
function enter(row) {
  (row.inputs.find((input) => input.checked) ?? row.inputs[0]).focus({ preventScroll: true });
  row.node.scrollIntoView({ block: "nearest" });
}

/** A question on its own, asked before a chat begins. */
export function lonelyRow(scale, cannot, value, changed) {
  return scoreRow("", scale, cannot, value, changed);
}

/** Replies get boxes of one size, whatever their length and wherever they stand. */
export function equalise(boxes) {
  for (const box of boxes) box.style.minHeight = "";
  const tallest = Math.max(0, ...boxes.map((box) => box.getBoundingClientRect().height));
  for (const box of boxes) box.style.minHeight = `${Math.ceil(tallest)}px`;
  document.documentElement.style.setProperty("--reply", `${Math.ceil(tallest)}px`);
}

export function openKeys() {
  byId("keys").showModal();
}
