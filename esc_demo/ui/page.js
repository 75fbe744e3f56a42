// Small comforts of the page; everything works without them.
// Keeps the newest words in view, names the logs for screen readers, counts characters.
(() => {
  const near = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 80;

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
      // While words come in, a screen reader waits for the whole reply.
      const writing = Boolean(log.querySelector(".is-writing"));
      log.setAttribute("aria-busy", String(writing));
      const now = log.querySelectorAll(".esc-exchange").length;
      if (now !== turns) follow = true;
      turns = now;
      if (follow) log.scrollTop = log.scrollHeight;
    }).observe(log, { childList: true, subtree: true, characterData: true });
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
    if (box.dir !== "auto") box.dir = "auto";
  };

  let planned = false;
  const look = () => {
    planned = false;
    document.querySelectorAll(".esc-log:not([data-ready])").forEach(adopt);
    count();
  };
  const plan = () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(look);
  };
  document.addEventListener("input", plan, true);
  document.addEventListener("keydown", (event) => {
    const help = document.querySelector(".esc-care details[open]");
    if (event.key !== "Escape" || !help) return;
    help.open = false;
    help.querySelector("summary").focus();
  });
  const begin = () => {
    new MutationObserver(plan).observe(document.body, { childList: true, subtree: true });
    // The box is also filled and emptied by the server, which raises no event.
    setInterval(count, 400);
    plan();
  };
  // The page may have been parsed before this script is added to it.
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
