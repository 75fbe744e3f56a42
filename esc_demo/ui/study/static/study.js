// The rater's page: asks the server which screen comes next and shows it.

import { ask, byId, el, heading, prose } from "./dom.js";
import { ItemForm, equalise, openKeys } from "./form.js";
import { Chat, chatColumns } from "./live.js";
import { Draft, Offline, Refused, call, forget, forgetAll, insist, remembered } from "./net.js";
import { begun, consent, end, rest, resumeCard, still, waiting, welcome } from "./screens.js";
import { conversation, replyColumns } from "./talk.js";

const LOOK_MS = 60_000;
const main = byId("main");
const others = "BroadcastChannel" in window ? new BroadcastChannel(`study:${location.pathname}`) : null;
let screen = null; // what the server said last
let form = null; // the item's form, while there is one
let chat = null;
let draft = null;
let busy = false;
let later = 0; // the timer of a page that waits for an item
let active = { ms: 0, since: 0 };

// ---- showing a screen -------------------------------------------------------------------

function show(next, message = "") {
  leave();
  if (next.stage === "withdrawn") forgetAll(); // after `leave`, so that no draft is kept anew
  screen = next;
  byId("name").textContent = next.title;
  byId("open-options").hidden = !next.code;
  byId("open-keys").hidden = !["rating", "practice"].includes(next.stage);
  byId("danger").hidden = !next.item?.chat; // people write here, and may write in need
  notice("");
  saved("");
  progress(next.item ?? next.rest ?? (next.debrief && { answered: next.answered, of: next.of }));
  main.replaceChildren(...(VIEWS[next.stage] ?? VIEWS.closed)(next).filter(Boolean));
  const title = main.querySelector("h1");
  document.title = title ? `${title.textContent} · ${next.title}` : next.title;
  window.scrollTo(0, 0);
  if (message) saved(message);
  if (form) equalise([...main.querySelectorAll(".reply")]);
  title?.focus({ preventScroll: true });
  if (next.stage === "waiting") lookLater();
}

/** Look now and then whether an item has become free; nobody who is away is given one. */
function lookLater() {
  later = setTimeout(async () => {
    const idle = () => screen.stage === "waiting" && !form && !document.querySelector("dialog[open]");
    const next = idle() && !document.hidden ? await call("screen").catch(() => null) : null;
    if (screen.stage !== "waiting") return;
    if (next && next.stage !== "waiting" && idle()) show(next);
    else lookLater();
  }, LOOK_MS);
}

function leave() {
  clearTimeout(later);
  draft?.close();
  chat?.leave();
  form = chat = draft = null;
}

const saved = (text) => (byId("saved").textContent = text);
const notice = (text) => (byId("notice").textContent = text);

function progress(at) {
  byId("progress").hidden = !at;
  if (!at) return;
  const done = at.answered ?? at.position - 1;
  byId("bar").max = at.of;
  byId("bar").value = done;
  byId("count").textContent = at.practice
    ? `Practice ${at.position} of ${at.of}`
    : at.position
      ? `Item ${at.position} of ${at.of}`
      : `${done} of ${at.of} done`;
}

const VIEWS = {
  welcome: (now) => welcome(now, enter),
  begun: (now) => begun(now, enter),
  consent: (now) => consent(now, act),
  practice: item,
  rating: item,
  break: (now) => rest(now, act),
  done: (now) => [...end(now), previousButton(now)],
  capped: (now) => [...end(now), previousButton(now)],
  full: (now) => [...end(now), previousButton(now)],
  waiting: (now) => [...waiting(now, () => again(now)), previousButton(now)],
  paused: (now) => still(now, "The study is paused", "What you have done is kept. Please come back later with this link."),
  closed: (now) => (now.debrief ? end(now) : still(now, "The study is closed", "No more answers are taken. Thank you for your interest.")),
  withdrawn: (now) => still(now, "You have withdrawn", "You take no further part. Thank you for the time you gave."),
};

// ---- one item ---------------------------------------------------------------------------

function blank(now) {
  return { scores: Array.from({ length: now.sides }, () => ({})), once: {}, preference: null, comment: "", ms: 0, nonce: nonce() };
}

/** The server's draft, or this browser's when that one never reached the server. */
function answersOf(now) {
  const here = remembered(now.assignment_id);
  const kept = here && (here.unsaved || !now.draft) ? here.answers : now.draft;
  // Another device that goes on with the draft sends its own answers, so under its own nonce.
  return { ...blank(now), ...(kept ?? {}), nonce: here?.answers?.nonce ?? nonce() };
}

const nonce = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function item(now) {
  const it = now.item;
  const answers = answersOf(it);
  active = { ms: answers.ms, since: document.hidden ? 0 : performance.now() };
  draft = new Draft(it.assignment_id, answers, draftSaid);
  const title = heading(it.practice ? `Practice ${it.position} of ${it.of}` : `Item ${it.position} of ${it.of}`);
  const intro = it.practice ? el("p", { class: "hint" }, "Practice does not count. It shows how the questions work; after each you read what we had in mind.") : null;
  if (it.chat && !it.chat.ended) {
    chat = new Chat(it, answers, { changed: () => draft.changed(), refresh: show, say: saved });
    return [title, intro, chat.node, el("div", { class: "buttons under" }, sideButtons())];
  }
  form = new ItemForm({
    item: it,
    columns: it.chat ? chatColumns(it) : replyColumns(it),
    answers,
    changed: () => draft.changed(),
    submit: submit,
    submitLabel: it.practice ? "Check my answers" : "Submit and go on",
    buttons: sideButtons(),
  });
  return [title, intro, it.history.length ? conversation(it.history) : null, form.node, previousButton(now)];
}

const sideButtons = () => [
  screen.item.practice ? null : el("button", { type: "button", class: "quiet", onclick: skip }, "Skip this item"),
  el("button", { type: "button", class: "quiet", onclick: report }, "Report a problem"),
].filter(Boolean);

function draftSaid(state, error) {
  if (state === "saved") {
    saved("Draft saved");
    notice("");
  } else if (state === "offline") {
    saved("Not saved yet");
    notice("No connection. Your answers are kept in this browser and will be saved as soon as it is back; you can go on.");
  } else if (error.status === 409) {
    // Held for too long, and given to somebody else: what is answered is still taken.
    saved("Not saved");
    notice("This item is no longer kept for you. You can still finish and submit it, or reload the page for the next one.");
  } else {
    refused(error);
  }
}

function activeMs() {
  const now = performance.now();
  if (active.since) active.ms += Math.min(now - active.since, 60_000); // longer gaps are not work
  active.since = document.hidden ? 0 : now;
  return Math.round(active.ms);
}

for (const kind of ["keydown", "pointerdown", "scroll", "visibilitychange"]) {
  document.addEventListener(kind, () => screen?.item && activeMs(), { passive: true });
}

function body(answers, it) {
  const { scores, once, preference, comment } = answers;
  return { assignment_id: it.assignment_id, nonce: answers.nonce, scores, once, preference, comment, client_ms: activeMs() };
}

async function submit(answers) {
  const it = screen.item;
  answers.ms = activeMs();
  draft.close();
  try {
    const told = (pause) => notice(`No connection. Your answers are kept in this browser; trying again in ${pause} seconds.`);
    const done = await insist("submit", body(answers, it), told);
    forget(it.assignment_id);
    others?.postMessage("moved");
    if (it.practice) practised(done, it, answers);
    else show(done.screen, done.status === "surplus" ? "Thank you. This item had enough answers meanwhile; yours is kept as an extra one." : "Saved");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 422) {
      draft = new Draft(it.assignment_id, answers, draftSaid);
      throw error;
    }
    await moveOn(error);
  }
}

function practised(done, it, answers) {
  form = null;
  const good = done.passed !== false;
  const next = done.screen.item; // only what must be passed comes again
  const repeat = !good && Boolean(next?.practice) && next.position === it.position;
  main.replaceChildren(
    heading(good ? "Well done" : "Not quite what we had in mind"),
    el("div", { class: good ? "card good" : "card care" }, prose(done.feedback || "Thank you."),
      good ? null : el("p", {}, `There is no harm in that.${repeat ? " Have another look and answer again." : ""}`),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "main big", onclick: () => show(done.screen) }, repeat ? "Try again" : "Go on"))),
    ...(it.history.length ? [conversation(it.history)] : []),
    el("div", { class: it.replies.length > 1 ? "sides two" : "sides" },
      replyColumns(it).map((column, index) => el("section", { class: "side" }, column.body,
        el("ul", { class: "yours" }, it.rows.map((scale) => el("li", {}, `${scale.title}: ${plain(answers.scores[index][scale.id])}`)))))),
  );
  equalise([...main.querySelectorAll(".reply")]);
  window.scrollTo(0, 0);
  main.querySelector("button.main").focus();
}

const plain = (score) => (score === "cannot_judge" ? "cannot judge" : `you said ${score}`);

async function skip() {
  const reason = el("textarea", { rows: "2", maxlength: "500", id: "reason" });
  const text = [el("p", {}, "That is quite all right: it costs you nothing, and you need not say why."), el("label", { for: "reason" }, "Reason (optional)", reason)];
  const said = await ask("Skip this item?", text, { yes: "Skip it", read: () => ({ reason: reason.value.trim() }) });
  if (!said) return;
  const { assignment_id } = screen.item;
  if (await act("skip", { assignment_id, ...said }, "Skipped")) forget(assignment_id);
}

async function report() {
  const text = el("textarea", { rows: "4", maxlength: "2000", id: "report" });
  const said = await ask("Report a problem", [el("label", { for: "report" }, "What is wrong, or what troubled you?", text)],
    { yes: "Send", ready: () => text.value.trim(), read: () => ({ text: text.value.trim() }) });
  if (!said) return;
  try {
    await call("report", { assignment_id: screen.item?.assignment_id ?? null, ...said });
    saved("Thank you. The people who run the study will read it.");
  } catch (error) {
    refused(error);
  }
}

// ---- changing the last answer -----------------------------------------------------------

function previousButton(now) {
  if (!now.can_correct) return null;
  const go = el("button", { type: "button", class: "quiet" }, "Change my previous answer");
  go.addEventListener("click", async () => {
    try {
      correct(await call("answered", { assignment_id: now.can_correct }));
    } catch (error) {
      refused(error);
    }
  });
  return el("p", { class: "under" }, go);
}

function correct({ item: it, answers: before }) {
  draft?.leave();
  const back = screen;
  const reason = el("textarea", { rows: "2", maxlength: "500", id: "why" });
  const answers = { ...before, nonce: nonce(), ms: 0 };
  active = { ms: 0, since: performance.now() };
  draft?.close();
  form = new ItemForm({
    item: it,
    columns: it.chat ? chatColumns(it) : replyColumns(it),
    answers,
    changed: () => {},
    submitLabel: "Save the change",
    buttons: [el("button", { type: "button", class: "quiet", onclick: () => again(back) }, "Leave it as it was")],
    extra: el("label", { for: "why", class: "card plain" }, "Why do you change it? A few words are enough.", reason),
    submit: async () => {
      if (!reason.value.trim()) {
        reason.focus();
        throw new Error("Please say in a few words why you change it.");
      }
      const done = await insist("correct", { ...body(answers, it), reason: reason.value.trim() }, () => notice("No connection; trying again."));
      show(done.screen, "Change saved");
    },
  });
  main.replaceChildren(...[heading("Change your previous answer"), it.history.length ? conversation(it.history) : null, form.node].filter(Boolean));
  equalise([...main.querySelectorAll(".reply")]);
  window.scrollTo(0, 0);
  main.querySelector("h1").focus({ preventScroll: true });
}

// ---- acting and refusals ----------------------------------------------------------------

/** Whether it was done; a refusal has been shown by then. */
async function act(name, values, message = "") {
  if (busy) return false; // a double click
  busy = true;
  try {
    const told = (pause) => notice(`No connection. Nothing is lost; trying again in ${pause} seconds.`);
    const answer = await insist(name, values, told);
    others?.postMessage("moved");
    show(answer.screen ?? answer, message);
    return true;
  } catch (error) {
    refused(error);
    return false;
  } finally {
    busy = false;
  }
}

function refused(error) {
  if (error instanceof Offline) return notice("No connection. Please try again in a moment.");
  if (!(error instanceof Refused)) throw error;
  if (error.status === 409 || error.status === 410) return moveOn(error);
  return notice(error.message);
}

/** Another tab, or the study itself, has gone on: say so and show where it stands. */
async function moveOn(error) {
  await again(null);
  notice(error.message);
}

async function again(fallback) {
  const next = await insist("screen", undefined, () => notice("No connection; trying again.")).catch((error) => {
    notice(error.message);
    return fallback;
  });
  if (next) show(next);
}

async function withdraw() {
  const sure = el("input", { type: "checkbox", id: "sure" });
  const what = screen.withdrawal === "anonymise"
    ? "All your answers are cut loose from you for good: nobody can tell any more whose they were."
    : "All your answers are deleted. They cannot be brought back.";
  const said = await ask("Withdraw from the study?",
    [el("p", {}, `${what} You need not give a reason.`), el("label", { class: "check", for: "sure" }, sure, el("span", {}, "Yes, I want to withdraw."))],
    { yes: "Withdraw", danger: true, ready: () => sure.checked, read: () => ({}) });
  if (!said) return;
  try {
    show(await insist("withdraw", {}, () => notice("No connection; trying again.")));
    others?.postMessage("moved");
  } catch (error) {
    // Cut loose by an earlier attempt whose reply got lost: the study knows the code no more.
    if (error.status === 404 && screen.withdrawal === "anonymise") show({ stage: "withdrawn", title: screen.title });
    else refused(error);
  }
}

function options() {
  // The next dialog opens only when this one has told that it is closed.
  const close = (then) => () => {
    byId("ask").addEventListener("close", then, { once: true });
    byId("ask").close();
  };
  ask("Options", [
    resumeCard(screen),
    el("p", {}, "To stop for now, close the page: everything is saved."),
    el("div", { class: "buttons column" },
      el("button", { type: "button", class: "quiet", onclick: close(() => report()) }, "Report a problem"),
      screen.stage === "withdrawn" ? null : el("button", { type: "button", class: "quiet", onclick: close(() => withdraw()) }, "Withdraw from the study…")),
  ], { yes: "Close", no: null, read: () => null });
}

// ---- coming in --------------------------------------------------------------------------

async function enter(values) {
  await act("enter", { parameters: Object.fromEntries(new URLSearchParams(location.search)), ...values });
}

async function start() {
  const first = await insist("screen", undefined, () => notice("No connection; trying again.")).catch((error) => error);
  if (first instanceof Refused) {
    main.replaceChildren(heading("This page cannot be shown"), el("p", { class: "card" }, first.message));
    return;
  }
  show(first);
  // A recruiting site or a personal link says who comes: no need to ask, and no mistaking.
  const here = new URLSearchParams(location.search);
  if (first.known_by?.some((name) => here.get(name))) await enter({});
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("textarea, input:not([type=radio])")) return;
  if (event.key === "?") openKeys();
  else if (!form?.key(event)) return;
  event.preventDefault();
});
byId("open-support").addEventListener("click", () => byId("support").showModal());
byId("open-keys").addEventListener("click", openKeys);
byId("open-options").addEventListener("click", options);
window.addEventListener("pagehide", () => draft?.leave());
window.addEventListener("pageshow", (event) => event.persisted && again(screen));
window.addEventListener("resize", () => form && equalise([...main.querySelectorAll(".reply")]));
// Another tab of the same person has submitted: what stands here is no longer asked.
others?.addEventListener("message", async () => {
  const next = await call("screen").catch(() => null);
  if (!next || !screen || (next.stage === screen.stage && next.item?.assignment_id === screen.item?.assignment_id)) return;
  show(next);
  notice("You went on in another tab; this one has caught up.");
});

start();
