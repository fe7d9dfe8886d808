// What is wrong with a page for somebody who cannot see it well, has no mouse, or a small screen. Returns sentences.
// After WCAG 2.2 (1.1.1, 1.3.1, 1.4.3, 1.4.10, 1.4.11, 2.4.2, 2.4.4, 2.4.6, 2.5.8, 3.1.1, 4.1.2).
const wrong = [];
const say = (what, element) => {
  const at = element ? `: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 120)}` : "";
  wrong.push(what + at);
};
const all = (selector) => [...document.querySelectorAll(selector)];
const hidden = (element) => !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
// Text that only those see who do not see the page.
const clipped = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.clipPath.startsWith("inset(50%") || (style.position === "absolute" && parseFloat(style.left) < -100)) return true;
  }
  return false;
};
const name = (element) => {
  const by = (element.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
  const labels = [...(element.labels || [])].map((label) => label.textContent);
  const parts = [element.getAttribute("aria-label"), ...by.map((id) => document.getElementById(id)?.textContent), ...labels,
    element.textContent, element.getAttribute("title"), element.getAttribute("alt")];
  return parts.filter(Boolean).join(" ").trim();
};

// The document.
if (!document.documentElement.lang) say("no language");
if (!document.title.trim()) say("no title");
if (!document.querySelector("meta[name=viewport][content*='width=device-width']")) say("no viewport");
if (/maximum-scale|user-scalable\s*=\s*no/.test(document.querySelector("meta[name=viewport]")?.content || "")) say("no zoom");
for (const landmark of ["main", "header"]) {
  if (all(`body > ${landmark}`).length !== 1) say(`not one ${landmark}`);
}
for (const child of document.body.children) {
  if (!child.matches("header, main, footer, .skip, script")) say("outside of all landmarks", child);
}
const navs = all("nav").map((nav) => nav.getAttribute("aria-label"));
if (navs.length > 1 && new Set(navs).size !== navs.length) say("two navigations of one name");
const skip = document.querySelector("a[href^='#']");
if (!skip || !document.querySelector(skip.getAttribute("href"))) say("no way past the navigation");

// Names.
const ids = all("[id]").map((element) => element.id);
for (const id of new Set(ids.filter((id, n) => ids.indexOf(id) !== n))) say(`id ${id} stands there twice`);
for (const attribute of ["for", "aria-describedby", "aria-labelledby", "aria-controls"]) {
  for (const element of all(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(/\s+/)) {
      if (!document.getElementById(id)) say(`${attribute} names ${id}, which is not there`, element);
    }
  }
}
for (const field of all("input:not([type=hidden]), select, textarea")) {
  if (!name({ getAttribute: (n) => (n === "title" ? null : field.getAttribute(n)), labels: field.labels, textContent: "" })) say("a field without a label", field);
  if (field.getAttribute("aria-invalid") === "true" && !field.getAttribute("aria-describedby") && !document.querySelector("[role=alert]")) say("a wrong field that does not say why", field);
}
for (const element of all("button, a, summary")) {
  if (!name(element)) say("nothing to call it by", element);
  const label = element.getAttribute("aria-label");
  // Who speaks to the page says what is to be seen (WCAG 2.5.3).
  const words = element.textContent.trim().toLowerCase().split(/\s+/);
  if (label && !words.every((word) => label.toLowerCase().includes(word.replace(/[?.]/g, "")))) say("called otherwise than it reads", element);
}
for (const link of all("a")) {
  if (!link.getAttribute("href")) say("a link to nowhere", link);
}
const links = new Map();
for (const link of all("main a[href]")) {
  const text = link.getAttribute("aria-label") || link.textContent.trim();
  const href = link.getAttribute("href");
  if (links.has(text) && links.get(text) !== href) say(`two ways called "${text}"`, link);
  links.set(text, href);
}
for (const element of all("img, [role=img], svg")) {
  if (!name(element) && !element.hasAttribute("alt")) say("a picture without words", element);
}
for (const element of all("[aria-hidden=true] a, [aria-hidden=true] button, [aria-hidden=true] input")) say("hidden, and yet reached", element);
for (const element of all("[tabindex]")) {
  if (element.tabIndex > 0) say("an order of its own", element);
}
for (const element of all("[role]")) {
  if (!["status", "alert", "img"].includes(element.getAttribute("role"))) say("an unknown role", element);
}
for (const element of all("time")) {
  if (Number.isNaN(Date.parse(element.dateTime))) say("no time", element);
}

// Structure.
const headings = all("h1, h2, h3, h4, h5, h6");
if (all("h1").length !== 1) say(`${all("h1").length} first headings`);
let level = 0;
for (const heading of headings) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) say(`a heading of level ${next} after ${level}`, heading);
  if (!heading.textContent.trim()) say("an empty heading", heading);
  level = next;
}
for (const list of all("ul, ol")) {
  for (const child of list.children) {
    if (child.tagName !== "LI") say("in a list, and no item of it", child);
  }
}
for (const item of all("li")) {
  if (!item.parentElement.matches("ul, ol")) say("an item of no list", item);
}
for (const list of all("dl")) {
  for (const child of list.children) {
    if (!child.matches("dt, dd, div")) say("in a list of terms, and none", child);
  }
}
for (const table of all("table")) {
  if (!table.caption?.textContent.trim()) say("a table without a caption", table);
  for (const head of table.querySelectorAll("th")) {
    if (!head.scope) say("a heading of nothing", head);
    if (!head.textContent.trim()) say("an empty heading", head);
  }
  const columns = table.querySelectorAll("thead th").length;
  for (const row of table.querySelectorAll("tbody tr")) {
    if (row.cells.length !== columns) say(`a row of ${row.cells.length} in a table of ${columns}`, row);
  }
}
for (const group of all("input[type=radio]")) {
  if (!group.closest("fieldset")?.querySelector("legend")?.textContent.trim()) say("choices without a question", group);
}

// Colours (WCAG's formula), as they are painted.
const parse = (text) => {
  const [r, g, b, a = 1] = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  return { r, g, b, a };
};
const over = (top, under) => ({
  r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1,
});
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
};
const luminance = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const contrast = (one, other) => {
  const [a, b] = [luminance(one), luminance(other)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
let measured = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.textContent.trim() || element.matches("script, noscript, option") || hidden(element) || clipped(element)) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const off = element.closest(":disabled, label:has(:disabled)");
  const back = ground(element);
  const ratio = contrast(over(parse(style.color), back), back);
  measured += 1;
  if (!off && ratio < (large ? 3 : 4.5)) say(`a contrast of ${ratio.toFixed(2)}`, element);
}
for (const field of all("input:not([type=hidden]), select, textarea")) {
  if (hidden(field) || field.matches("[type=checkbox], [type=radio]")) continue;
  const ratio = contrast(parse(getComputedStyle(field).borderTopColor), ground(field.parentElement));
  if (ratio < 3) say(`a border with a contrast of ${ratio.toFixed(2)}`, field);
}

// Room.
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) {
  const widest = all("body *").filter((element) => !clipped(element) && element.getBoundingClientRect().right > width + 1);
  say(`wider than the window of ${width} by ${document.documentElement.scrollWidth - width}`, widest[0]);
}
for (const element of all("button, .button, input:not([type=hidden]), select, a, summary")) {
  if (hidden(element) || clipped(element)) continue;
  const box = element.getBoundingClientRect();
  // A way within a sentence is as high as its line (WCAG 2.5.8, "Inline").
  const inline = element.tagName === "A" && getComputedStyle(element).display === "inline";
  const labelled = element.labels?.length && [...element.labels].some((label) => label.getBoundingClientRect().height >= 24);
  if (!inline && !labelled && (box.height < 24 || box.width < 24)) say(`small: ${Math.round(box.width)} × ${Math.round(box.height)}`, element);
}
for (const element of all("h1, h2, h3, p, td, th, li, label, button, a, strong")) {
  if (hidden(element) || clipped(element)) continue;
  if (getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1) say("cut off", element);
}

return { wrong, measured };
