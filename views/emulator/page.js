// Fetches the page again every moment, and puts what changed in its place; nothing needs it.
"use strict";

let etag = null;
const news = document.getElementById("news");

// What an event is and says.
const said = (one) => one.querySelector("a").getAttribute("href") + one.textContent;

const put = (part, next) => {
  const before = new Set([...part.querySelectorAll("li")].map(said));
  const held = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
  part.innerHTML = next.innerHTML;
  for (const one of part.querySelectorAll("li")) {
    if (!before.has(said(one))) {
      one.classList.add("fresh");
      setTimeout(() => one.classList.remove("fresh"), 4000);
    }
    // Who stood on an event stays on it.
    const link = one.querySelector("a");
    if (held && link.getAttribute("href") === held) link.focus();
  }
};

// Marks of what is new go by themselves; they are no difference.
const bare = (part) => part.innerHTML.replaceAll(' class="managed fresh"', ' class="managed"').replaceAll(' class="fresh"', "").replaceAll(' class=""', "");

const again = async () => {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: etag ? { "if-none-match": etag } : {} });
      if (answer.ok) {
        etag = answer.headers.get("etag");
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        let changed = 0;
        for (const part of document.querySelectorAll("[data-live]")) {
          const next = page.getElementById(part.id);
          if (next && next.innerHTML !== bare(part)) {
            put(part, next);
            changed += 1;
          }
        }
        if (changed > 0) news.textContent = changed === 1 ? "One calendar changed." : `${changed} calendars changed.`;
      }
    } catch {
      // The emulator may be back the next time.
    }
  }
  setTimeout(again, 400);
};

// A page that answers a refused form has an address of its own that cannot be fetched; what it shows stays.
if (!location.pathname.startsWith("/_emulator/page/")) setTimeout(again, 400);
