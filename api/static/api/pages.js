"use strict";

// Pages work without this script; it adds copying, showing a secret, countdowns and raw requests.
// Events are handled on the document, so that a page that replaces another needs no second start.

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("status").textContent = text; };

function prepare() {
  for (const button of document.querySelectorAll("[data-copy], [data-reveal]")) button.hidden = false;
  for (const timer of document.querySelectorAll("[data-seconds]")) {
    timer.deadline = Date.now() + Number(timer.dataset.seconds) * 1000;
  }
  tick();
}

function tick() {
  for (const timer of document.querySelectorAll("[data-seconds]:not(.done)")) {
    const left = Math.ceil((timer.deadline - Date.now()) / 1000);
    if (left > 0) {
      const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      timer.textContent = (timer.dataset.text || "{}").replace("{}", clock);
    } else {
      timer.classList.add("done");
      timer.textContent = timer.dataset.done;
      say(timer.dataset.done);
    }
  }
}

async function copy(button) {
  const source = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source); // no permission: what is selected is easily copied
    return;
  }
  button.textContent = "Copied";
  say("Copied");
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function reveal(button) {
  const field = byId(button.dataset.reveal);
  const shown = field.type === "password";
  field.type = shown ? "text" : "password";
  button.textContent = shown ? "Hide" : "Show";
  button.setAttribute("aria-pressed", String(shown));
}

async function send(form) {
  const answer = await fetch(form.action, {
    method: "POST",
    headers: {
      "Accept": "text/html",
      "Content-Type": form.elements._content_type.value,
      "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
    },
    body: form.elements._content.value,
  });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  document.body.replaceWith(page.body);
  prepare();
  scrollTo(0, 0);
  byId("main").focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-reveal]");
  if (button) (button.dataset.copy ? copy : reveal)(button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-raw]")) return;
  event.preventDefault();
  send(event.target);
});
prepare();
setInterval(tick, 250);
