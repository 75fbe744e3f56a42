// Talking to the server, and what to do when it cannot be reached.

const ROOM = location.pathname.replace(/\/+$/, "");

/** The server understood and said no; `message` is fit to be shown. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nobody answered: worth trying again. */
export class Offline extends Error {}

const PATIENCE_MS = 30_000;

/** GET without a body, POST with one; the parsed answer. */
export async function call(name, body, { keepalive = false } = {}) {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), PATIENCE_MS);
  let response;
  let parsed;
  try {
    response = await fetch(`${ROOM}/api/${name}`, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      keepalive,
      signal: giveUp.signal,
    });
    parsed = await response.json();
  } catch {
    if (response && response.status < 500) {
      throw new Refused(response.status, "The answer of the server cannot be read. Reload the page.");
    }
    throw new Offline("No connection to the study.");
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return parsed;
  if (response.status >= 502) throw new Offline(parsed.error || "No connection to the study.");
  throw new Refused(response.status, parsed.error || "That did not work. Reload the page and try again.");
}

export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Try until somebody answers; `onOffline(seconds)` is told before each new attempt. */
export async function insist(name, body, onOffline) {
  for (let pause = 2; ; pause = Math.min(pause * 2, 30)) {
    try {
      return await call(name, body);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      onOffline(pause);
      await Promise.race([
        wait(pause * 1000),
        new Promise((done) => window.addEventListener("online", done, { once: true })),
      ]);
    }
  }
}

const key = (assignment) => `draft:${ROOM}:${assignment}`;

/** What this browser keeps of an item in case the connection fails; null when nothing. */
export function remembered(assignment) {
  try {
    return JSON.parse(localStorage.getItem(key(assignment)));
  } catch {
    return null;
  }
}

export function remember(assignment, draft) {
  try {
    localStorage.setItem(key(assignment), JSON.stringify(draft));
  } catch {
    // A private window without storage: the server's copy has to do.
  }
}

export function forget(assignment) {
  try {
    localStorage.removeItem(key(assignment));
  } catch {
    // see above
  }
}

/** Delete all that this browser keeps of this study's items. */
export function forgetAll() {
  try {
    Object.keys(localStorage).filter((name) => name.startsWith(key(""))).forEach((name) => localStorage.removeItem(name));
  } catch {
    // see above
  }
}

const SAVE_AFTER_MS = 500;
const RETRY_MS = 4000;

/** Saves an item's draft a moment after the last change, first here and then on the server. */
export class Draft {
  constructor(assignment, answers, said) {
    this.assignment = assignment;
    this.answers = answers;
    this.said = said;
    this.timer = 0;
    this.dirty = false;
    this.closed = false;
    this.sending = Promise.resolve();
  }

  changed() {
    if (this.closed) return;
    this.dirty = true;
    remember(this.assignment, { answers: this.answers, unsaved: true });
    this.later(SAVE_AFTER_MS);
  }

  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), ms);
  }

  save() {
    // One after the other, so that an older draft never overtakes a newer one.
    this.sending = this.sending.then(() => this.send());
    return this.sending;
  }

  /** What the server keeps: the nonce is this browser's own. */
  body() {
    const { nonce, ...draft } = this.answers;
    return { assignment_id: this.assignment, draft };
  }

  async send() {
    if (this.closed || !this.dirty) return;
    this.dirty = false;
    try {
      await call("draft", this.body());
      if (this.closed) return;
      remember(this.assignment, { answers: this.answers, unsaved: this.dirty });
      if (!this.dirty) this.said("saved");
    } catch (error) {
      if (this.closed) return;
      this.dirty = true;
      if (error instanceof Offline) {
        this.said("offline");
        this.later(RETRY_MS);
      } else {
        this.said("refused", error);
      }
    }
  }

  /** The page is going away: one last attempt that outlives it. */
  leave() {
    if (this.closed || !this.dirty) return;
    call("draft", this.body(), { keepalive: true }).catch(() => {});
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
}
