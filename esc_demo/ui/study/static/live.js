// A chat with two partners at once. Their replies appear together, never as they are written.

import { byId, el } from "./dom.js";
import { lonelyRow } from "./form.js";
import { Offline, Refused, call, wait } from "./net.js";
import { turn } from "./talk.js";

const LOOK_EVERY_MS = 700;

/** The two (or one) sides of a chat, as they are shown while chatting and while rating. */
export function chatColumns(item) {
  const sides = item.chat.sides;
  return Array.from({ length: sides }, (_, index) => {
    const title = sides > 1 ? `Partner ${index + 1}` : "Your partner";
    const list = el("ol", {}, item.chat.turns.flatMap((one) => said(one, index)));
    const body = el(
      "div",
      { class: "reply chat" },
      el("h2", {}, title),
      el("div", { class: "log", tabindex: "0", role: "log", "aria-label": `Chat with ${title.toLowerCase()}` }, list),
    );
    return { title, body };
  });
}

function said(one, index) {
  const mine = turn("seeker", one.text, true);
  if (one.replies === null) return [mine];
  const reply = one.replies[index];
  if (reply) return [mine, turn("supporter", reply)];
  return [mine, el("li", { class: "note" }, "No reply could be written here. Please go on.")];
}

/** The screen of the chat itself. `refresh(screen)` shows another one. */
export class Chat {
  constructor(item, answers, { changed, refresh, say }) {
    Object.assign(this, { item, answers, changed, refresh, say, gone: false, asking: false });
    this.box = el("textarea", { rows: "2", maxlength: "4000", dir: "auto", id: "message", "aria-describedby": "chat-hint" });
    const last = item.chat.turns.at(-1);
    this.expected = item.chat.turns.length;
    this.box.value = last?.text === answers.message?.trim() ? "" : answers.message || "";
    this.box.addEventListener("input", () => {
      this.answers.message = this.box.value;
      changed();
    });
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        if (!event.repeat) this.send();
      }
    });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.node = el("div", { class: "live" });
    this.draw();
    if (item.chat.pending) this.look();
  }

  draw() {
    const { item } = this;
    const before = item.asked_before.filter((scale) => this.answers.once[scale.id] === undefined);
    if (before.length && !item.chat.turns.length) {
      this.node.replaceChildren(this.situation(), this.firstQuestions());
      return;
    }
    const turns = item.chat.turns.length;
    const left = item.least_turns - turns;
    const over = turns >= item.most_turns;
    const columns = chatColumns(item);
    const hint = item.chat.pending
      ? "Both partners are writing. Their replies appear together."
      : over
        ? "This chat has reached its length. Please end it and rate it."
        : left > 0
          ? `Write what comes to mind. After ${left} more ${left === 1 ? "message" : "messages"} you can end the chat.`
          : "You can go on, or end the chat and rate it.";
    this.sendButton = el("button", { type: "button", class: "main", onclick: () => this.send() }, "Send");
    this.endButton = el("button", { type: "button", class: "quiet", onclick: () => this.end() }, "End the chat");
    this.sendButton.disabled = item.chat.pending || over;
    this.endButton.disabled = item.chat.pending || left > 0;
    this.box.disabled = over;
    this.node.replaceChildren(
      this.situation(),
      el("div", { class: columns.length > 1 ? "sides two" : "sides" }, columns.map((column) => el("section", { class: "side", "aria-label": column.title }, column.body))),
      el(
        "div",
        { class: "composer" },
        el("label", { for: "message" }, "Your message goes to both"),
        this.box,
        el("p", { id: "chat-hint", class: "hint", role: "status" }, hint),
        this.problem,
        el("div", { class: "buttons" }, this.sendButton, this.endButton),
      ),
    );
    for (const log of this.node.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  }

  situation() {
    if (!this.item.situation) return "";
    return el(
      "section",
      { class: "talk situation", "aria-label": "Situation" },
      el("h2", {}, "A situation you may play"),
      el("p", {}, this.item.situation),
      el("p", { class: "hint" }, "You need not write about yourself. Stay with what feels all right to you."),
    );
  }

  firstQuestions() {
    const rows = this.item.asked_before.map((scale) => ({
      scale,
      row: lonelyRow(scale, this.item.cannot_judge, this.answers.once[scale.id], () => {
        this.problem.textContent = "";
      }),
    }));
    const go = () => {
      if (rows.some(({ row }) => row.value() === undefined)) {
        this.problem.textContent = "Please answer this first. “Cannot judge” counts as an answer.";
        rows[0].row.inputs[0].focus();
        return;
      }
      for (const { scale, row } of rows) this.answers.once[scale.id] = row.value();
      this.changed();
      this.draw();
      this.box.focus();
    };
    return el(
      "form",
      { class: "item", novalidate: true, onsubmit: (event) => { event.preventDefault(); go(); } },
      rows.map(({ row }) => row.node),
      this.problem,
      el("div", { class: "buttons" }, el("button", { type: "submit", class: "main big" }, "Begin the chat")),
    );
  }

  async send() {
    const text = this.box.value.trim();
    const { item } = this;
    if (!text || item.chat.pending || this.asking) return;
    this.asking = true;
    this.problem.textContent = "";
    this.say("");
    try {
      // The number of the message makes a repeated request harmless.
      item.chat = (await call("chat/say", { assignment_id: item.assignment_id, position: item.chat.turns.length, text })).chat;
      this.expected = item.chat.turns.length;
      this.box.value = ""; // the draft keeps the message until it is answered
      this.draw();
      this.box.focus();
      this.look();
    } catch (error) {
      this.refused(error, "The message was not sent: no connection. It is still in the box; please try again.");
    } finally {
      this.asking = false;
    }
  }

  async look() {
    let told = false;
    while (!this.gone && this.item.chat.pending) {
      await wait(LOOK_EVERY_MS);
      if (this.gone) return;
      try {
        this.item.chat = (await call("chat/look", { assignment_id: this.item.assignment_id })).chat;
        told = false;
      } catch (error) {
        if (!(error instanceof Offline)) return this.refused(error);
        if (!told) this.problem.textContent = "No connection. The replies are kept; looking again.";
        told = true;
      }
    }
    if (this.gone) return;
    const answered = this.item.chat.turns.length >= this.expected;
    this.problem.textContent = answered ? "" : "The message could not be answered. Please send it again.";
    if (answered) this.answers.message = "";
    this.box.value = this.answers.message ?? "";
    this.changed();
    this.draw();
    if (answered) this.say("Both partners have replied.");
    byId("message")?.focus();
  }

  async end() {
    if (this.asking) return;
    this.asking = true;
    try {
      this.refresh(await call("chat/end", { assignment_id: this.item.assignment_id }));
    } catch (error) {
      this.refused(error, "The chat could not be ended: no connection. Please try again.");
    } finally {
      this.asking = false;
    }
  }

  refused(error, offline) {
    if (!(error instanceof Offline || error instanceof Refused)) throw error;
    this.problem.textContent = error instanceof Offline && offline ? offline : error.message;
  }

  leave() {
    this.gone = true;
  }
}
