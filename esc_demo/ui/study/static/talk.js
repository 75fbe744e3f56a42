// How a conversation and the replies to it are shown.

import { el } from "./dom.js";

const WHO = { seeker: "Person seeking support", supporter: "Supporter" };

export function turn(role, text, you = false) {
  return el(
    "li",
    { class: role },
    el("span", { class: "who" }, you ? "You" : WHO[role]),
    el("p", { dir: "auto" }, text),
  );
}

export function conversation(history) {
  return el(
    "section",
    { class: "talk", "aria-labelledby": "talk-title" },
    el("h2", { id: "talk-title" }, "The conversation so far"),
    el("ol", {}, history.map((one) => turn(one.role, one.text))),
  );
}

/** A reply as plain text; it can be scrolled by keyboard when it is long. */
export function replyBox(title, text) {
  return el(
    "div",
    { class: "reply" },
    el("h2", {}, title),
    el("p", { dir: "auto", tabindex: "0", role: "document", "aria-label": title }, text),
  );
}

/** What is judged, in the order in which the server put it. */
export function replyColumns(item) {
  const title = (index) => (item.replies.length > 1 ? `Reply ${index + 1}` : "The reply");
  return item.replies.map((text, index) => ({ title: title(index), body: replyBox(title(index), text) }));
}
