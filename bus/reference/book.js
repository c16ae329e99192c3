"use strict";
const search = document.getElementById("search");
const found = document.getElementById("found");
const sections = [...document.querySelectorAll("details")];
const opened = new Set(sections.filter((section) => section.open));
const texts = new Map();
for (const part of document.querySelectorAll("details, tbody tr")) {
  texts.set(part, part.textContent.toLowerCase());
}

search.addEventListener("input", () => {
  const asked = search.value.trim().toLowerCase();
  let rows = 0;
  for (const section of sections) {
    const has = texts.get(section).includes(asked);
    section.hidden = !has;
    section.open = asked ? has : opened.has(section);
    if (!has) continue;
    const inside = [...section.querySelectorAll("tbody tr")];
    const hits = inside.filter((row) => texts.get(row).includes(asked));
    for (const row of inside) row.hidden = hits.length > 0 && !texts.get(row).includes(asked);
    for (const table of section.querySelectorAll("table")) {
      table.hidden = !table.querySelector("tbody tr:not([hidden])");
    }
    rows += hits.length;
  }
  found.textContent = asked ? `${rows} 行 rows` : "";
});

function open() {
  const section = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!section || section.tagName !== "DETAILS") return;
  section.hidden = false;
  section.open = true;
  section.scrollIntoView();
}
addEventListener("hashchange", open);
addEventListener("beforeprint", () => { for (const section of sections) section.open = true; });
open();
