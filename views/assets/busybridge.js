// What is pleasanter with a script; nothing needs it.
"use strict";

// Copy buttons stand in the page, hidden, and are shown to those who can use them.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    await navigator.clipboard.writeText(field.value);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 2000);
  });
}

// The setup link carries its token where no server sees it.
const token = document.querySelector("input[data-from-hash]");
if (token && location.hash.length > 1) {
  token.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

// A button stays grey until its box is ticked.
for (const box of document.querySelectorAll("input[data-enables]")) {
  const button = document.getElementById(box.dataset.enables);
  const follow = () => { button.disabled = !box.checked; };
  box.addEventListener("change", follow);
  follow();
}

// Parts that change are fetched again: every three seconds while something is at work and somebody looks, else every minute.
const live = document.querySelector("[data-live]");
if (live) {
  let now = live;
  const again = async () => {
    if (!document.hidden && !now.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const next = page.querySelector("[data-live]");
          if (next && next.innerHTML !== now.innerHTML) {
            now.replaceWith(next);
            now = next;
            document.title = page.title;
          } else if (next) {
            now.dataset.live = next.dataset.live;
          }
        }
      } catch {
        // The next time may be better.
      }
    }
    setTimeout(again, now.dataset.live === "working" ? 3000 : 60000);
  };
  setTimeout(again, now.dataset.live === "working" ? 3000 : 60000);
}
