// The screens before, between and after the items.

import { byId, copyButton, el, heading, prose } from "./dom.js";

export function welcome(now, enter) {
  const code = el("input", { type: "text", id: "resume", autocomplete: "off", spellcheck: "false", placeholder: "ABCD-EFGH-JKLM" });
  const invitation = el("input", { type: "text", id: "invitation", autocomplete: "off", spellcheck: "false" });
  const begin = el("form", { class: "card" },
    el("p", {}, "You will read short conversations and say how helpful the replies are. Before anything else you read what taking part means, and decide."),
    now.needs_invitation ? el("label", { for: "invitation" }, "Your invitation code", invitation) : null,
    el("div", { class: "buttons" }, el("button", { class: "main big" }, "Begin")));
  const resume = el("form", { class: "card plain" },
    el("label", { for: "resume" }, "Began on another device? Enter your resume code", code),
    el("div", { class: "buttons" }, el("button", { class: "quiet" }, "Continue where I was")));
  begin.addEventListener("submit", (event) => { event.preventDefault(); enter({ invitation: invitation.value.trim() || null }); });
  resume.addEventListener("submit", (event) => {
    event.preventDefault();
    if (code.value.trim()) enter({ resume: code.value.trim() });
    else code.focus();
  });
  return [heading("Welcome"), begin, resume];
}

/** The link is somebody's who has begun elsewhere: only a person can say whether it was them. */
export function begun(now, enter) {
  return [
    heading("This link has been used before"),
    el("div", { class: "card" },
      el("p", {}, "Somebody has begun with this link, in another browser. If that was you, go on where you stopped. If not, close this page and ask for a link of your own: what you write would be theirs to read."),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "main big", onclick: () => enter({ mine: true }) }, "It was me, go on"))),
  ];
}

export function consent(now, act) {
  const box = el("input", { type: "checkbox", id: "agree" });
  const problem = el("p", { class: "problem", role: "alert" });
  const agree = el("form", { class: "card", novalidate: true },
    el("label", { class: "check", for: "agree" }, box, el("span", {}, "I have read this and I want to take part.")),
    problem,
    el("div", { class: "buttons" }, el("button", { class: "main big" }, "Agree and begin"),
      el("p", { class: "hint" }, "If you would rather not, simply close this page.")));
  agree.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.checked) act("consent", { version: now.consent.version });
    else {
      problem.textContent = "Please tick the box first if you want to take part. Otherwise just close the page.";
      box.focus();
    }
  });
  return [
    heading("Before you begin"),
    now.consent.content_note ? el("aside", { class: "card care", "aria-label": "Content note" }, el("h2", {}, "What you will read"), prose(now.consent.content_note)) : null,
    el("div", { class: "card" }, prose(now.consent.text), el("p", { class: "hint" }, `Version ${now.consent.version} of this text`)),
    agree,
    resumeCard(now),
  ];
}

export const resumeCard = (now) =>
  el("div", { class: "card plain code" },
    el("p", {}, "Your resume code. Note it if you might go on from another device or browser; it is the only way back in."),
    el("p", {}, el("code", { class: "resume" }, now.code), copyButton(now.code, "Copy")));

export function rest(now, act) {
  return [
    heading("Time for a short break"),
    el("div", { class: "card" },
      el("p", {}, `You have done ${now.rest.answered} of ${now.rest.of}. Look away from the screen, stretch, have some water. Nothing runs out while you rest.`),
      el("p", { class: "hint" }, `About ${now.rest.minutes_left} minutes of rating are left before we stop, so that it does not become too much.`),
      el("p", { class: "hint" }, "You can also stop here for today: close the page and come back with the same link or your resume code."),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "main big", onclick: () => act("resume", {}) }, "I am ready to go on"),
        supportButton())),
  ];
}

export function end(now) {
  const { text, completion_code: code, completion_url: url } = now.debrief;
  const why = {
    capped: "You have reached the time limit that protects you. ",
    full: "The study has all the answers it needs. ",
    closed: "The study is closed and takes no more answers. ",
  }[now.stage] ?? "";
  const none = {
    capped: "The practice took all of it. You did nothing wrong, and the code below shows that you took part.",
    full: "The last place was taken before your first item; you did nothing wrong. A place may become free: you can look again later with the same link.",
  }[now.stage] ?? "There is nothing left for you to do.";
  const kept = now.answered ? "Everything you answered is stored." : none;
  return [
    heading("Thank you"),
    el("div", { class: "card" }, el("p", {}, `${why}${kept}`),
      code ? el("div", { class: "code" }, el("p", {}, "Your completion code"), el("p", {}, el("code", { id: "completion" }, code), copyButton(code, "Copy the code"))) : null,
      url ? el("p", {}, el("a", { href: url, class: "button main big" }, "Finish and return")) : null),
    el("div", { class: "card" }, prose(text), supportButton()),
    el("p", { class: "hint" }, "You may still withdraw: see Options."),
  ];
}

export function waiting(now, look) {
  return [
    heading("Nothing is free just now"),
    el("div", { class: "card" },
      el("p", {}, "All that is still needed is with others at the moment. In some minutes an item may become free; this page looks again by itself."),
      el("p", { class: "hint" }, "You can also close the page and come back later with the same link or your resume code. What you have done is kept."),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "main big", onclick: look }, "Look again"), supportButton())),
    resumeCard(now),
  ];
}

export function still(now, title, text) {
  const receipt = now.receipt
    ? el("div", { class: "code" }, el("p", {}, receiptText(now.receipt)), el("p", {}, el("code", { id: "receipt" }, now.receipt.code), copyButton(now.receipt.code, "Copy")))
    : null;
  return [heading(title), el("div", { class: "card" }, el("p", {}, text), receipt, supportButton())];
}

const receiptText = ({ how, answers }) =>
  `${answers} ${answers === 1 ? "answer was" : "answers were"} ${how === "delete" ? "deleted" : "cut loose from you for good"}. Keep this code as your receipt.`;

const supportButton = () => el("button", { type: "button", class: "quiet", onclick: () => byId("support").showModal() }, "Find support");
