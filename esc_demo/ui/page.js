// Small comforts of the page: what it needs for the keyboard and for screen readers
// beyond what its components bring, the newest words in view, a count of characters.
(() => {
  const near = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const paneOf = (element) => element.closest(".esc-pane")?.id.slice(-1);

  const adopt = (log) => {
    log.dataset.ready = "1";
    log.setAttribute("role", "log");
    log.setAttribute("aria-live", "polite");
    log.setAttribute("aria-label", `Conversation of pane ${log.id.slice(-1)}`);
    log.tabIndex = 0;
    let follow = true;
    let turns = 0;
    log.addEventListener("scroll", () => { follow = near(log); }, { passive: true });
    new MutationObserver(() => {
      // While words are awaited or come in, a screen reader waits for the whole reply.
      set(log, "aria-busy", String(Boolean(log.querySelector(".is-writing, .is-waiting"))));
      const now = log.querySelectorAll(".esc-exchange").length;
      if (now !== turns) follow = true;
      turns = now;
      if (follow) log.scrollTop = log.scrollHeight;
    }).observe(log, { childList: true, subtree: true, characterData: true });
  };

  // Every radio button comes with a name of its own, so arrow keys would not reach the next.
  let groups = 0;
  const group = (fieldset) => {
    const radios = fieldset.querySelectorAll("input[type=radio]");
    if (!radios.length) return;
    fieldset.dataset.group ||= `group-${++groups}`;
    const title = fieldset.querySelector("[data-testid=block-info]")?.textContent.trim() ?? "";
    const pane = paneOf(fieldset);
    set(fieldset, "role", "radiogroup");
    set(fieldset, "aria-label", pane ? `${title}, pane ${pane}` : title);
    for (const radio of radios) set(radio, "name", fieldset.dataset.group);
  };

  const count = () => {
    const box = document.querySelector("#message textarea");
    const shown = document.getElementById("count");
    if (!box || !shown) return;
    const limit = Number(shown.dataset.limit);
    const length = [...box.value].length;
    const text = `${length.toLocaleString("en")} / ${limit.toLocaleString("en")}`;
    if (shown.textContent !== text) shown.textContent = text;
    shown.classList.toggle("is-over", length > limit);
  };

  // Buttons vanish or go grey once they did their work; the focus then moves to a neighbour.
  const FOCUSABLE = "button, textarea, summary, input:not([role=combobox])";
  const usable = (element) =>
    element.isConnected && !element.disabled && element.getClientRects().length > 0;
  let last = null;
  let around = [];
  const remember = (element) => {
    last = element;
    around = [];
    for (let up = element?.parentElement; up; up = up.parentElement) around.push(up);
  };
  const refocus = () => {
    const active = document.activeElement;
    const lost = !active || active === document.body || !usable(active);
    if (!lost || !last || usable(last)) return;
    const wanted = last.classList.contains("esc-remove") ? "#add-pane" : FOCUSABLE;
    // After Stop the pane's own Regenerate is next; it opens a moment later, which is seen here.
    const home = last.classList.contains("esc-stop") ? last.closest(".esc-pane") : null;
    if (home) {
      const again = home.querySelector(".esc-again");
      if (again && usable(again)) again.focus();
      return;
    }
    for (const place of around) {
      if (!place.isConnected) continue;
      const next = [...place.querySelectorAll(wanted)].find(usable);
      if (next) return next.focus();
    }
  };

  let planned = false;
  let waiting = 0;
  const look = () => {
    planned = false;
    document.querySelectorAll(".esc-log:not([data-ready])").forEach(adopt);
    document.querySelectorAll("fieldset").forEach(group);
    for (const button of document.querySelectorAll(".gr-accordion > button")) {
      set(button, "aria-expanded", String(button.classList.contains("open")));
    }
    const boxes = "textarea, input[type=text], input:not([type])";
    for (const box of document.querySelectorAll(boxes)) set(box, "dir", "auto");
    count();
    // What takes a button's place may come a moment after it.
    clearTimeout(waiting);
    waiting = setTimeout(refocus, 120);
  };
  const plan = () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(look);
  };
  document.addEventListener("input", plan, true);
  document.addEventListener("focusin", (event) => remember(event.target));
  // A list that was opened by the keyboard closes when the focus goes on, as by the mouse.
  document.addEventListener("focusout", (event) => {
    const box = event.target;
    if (!box.matches?.("input[role=combobox]")) return;
    setTimeout(() => {
      if (box === document.activeElement || box.getAttribute("aria-expanded") !== "true") return;
      box.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    }, 80);
  });
  document.addEventListener("pointerdown", (event) => {
    remember(event.target.closest?.(FOCUSABLE) ?? null);
  }, true);
  document.addEventListener("keydown", (event) => {
    const help = document.querySelector(".esc-care details[open]");
    if (event.key !== "Escape" || !help) return;
    help.open = false;
    help.querySelector("summary").focus();
  });
  const begin = () => {
    new MutationObserver((changes) => {
      // A name that is given back must be shared again before the next key comes.
      for (const { attributeName, target } of changes) {
        const fieldset = attributeName === "name" && target.closest("fieldset");
        if (fieldset) group(fieldset);
      }
      plan();
    }).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["class", "name", "disabled"],
    });
    // The box is also filled and emptied by the server, which raises no event.
    setInterval(count, 400);
    plan();
  };
  // The page may have been parsed before this script is added to it.
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
