"use strict";
// Looks for new mails every two seconds while somebody watches. What is there already stays as it
// is: only new lines are added, so nothing flickers or loses its place.
const SECONDS = 2;
const place = (id) => document.getElementById(id);
const list = place("list");
const views = [...document.querySelectorAll("[data-view]")];
let open = null; // the mail that is shown
let wanted = "html"; // the view that was chosen last

const moment = (text) => new Date(text).toLocaleString();

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function line(mail) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `#${mail.id}`;
  link.append(
    element("span", "subject", mail.subject || "(no subject)"),
    element("span", "facts", mail.to.join(", ")),
    element("span", "facts", moment(mail.at)),
  );
  item.dataset.id = mail.id;
  item.append(link);
  return item;
}

async function look() {
  if (document.hidden) return;
  let found;
  try {
    const answer = await fetch("/_local/mail.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    found = await answer.json();
  } catch {
    place("sum").textContent = "The platform does not answer.";
    return;
  }
  const there = new Set([...list.children].map((item) => item.dataset.id));
  const fresh = found.items.filter((mail) => !there.has(mail.id));
  list.prepend(...fresh.map(line));
  const { total } = found;
  const more = total > list.children.length ? `, the newest ${list.children.length} shown` : "";
  const sum = total ? `${total} ${total === 1 ? "mail" : "mails"}${more}` : "No mail yet.";
  if (place("sum").textContent !== sum) place("sum").textContent = sum;
  mark();
}

function mark() {
  for (const link of list.querySelectorAll("a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function withLinks(text) {
  const parts = text.split(/(https?:\/\/[^\s<>"]+)/);
  return parts.map((part, index) => {
    if (index % 2 === 0) return part;
    const link = element("a", "", part);
    link.href = part;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  });
}

function view(name) {
  const shown = name === "html" && !open.html ? "text" : name;
  for (const button of views) {
    button.setAttribute("aria-pressed", String(button.dataset.view === shown));
    place(button.dataset.view).hidden = button.dataset.view !== shown;
  }
}

async function read() {
  const id = location.hash.slice(1);
  document.body.classList.toggle("reading", Boolean(id));
  place("mail").hidden = true;
  place("none").hidden = Boolean(id);
  mark();
  if (!id) return;
  let found;
  try {
    const answer = await fetch(`/_local/mail/${encodeURIComponent(id)}.json`);
    if (!answer.ok) throw new Error(answer.status);
    found = await answer.json();
  } catch {
    location.hash = "";
    return;
  }
  if (location.hash.slice(1) !== id) return; // another one was chosen meanwhile
  open = found;
  for (const name of ["from", "subject"]) place(name).textContent = open[name];
  place("to").textContent = open.to.join(", ");
  place("at").textContent = moment(open.at);
  place("text").replaceChildren(...withLinks(open.text ?? "This mail has no text part."));
  const rows = open.headers.map(([name, value]) => {
    const row = document.createElement("tr");
    row.append(element("th", "", name), element("td", "", value));
    return row;
  });
  place("headers").tBodies[0].replaceChildren(...rows);
  if (open.html) place("html").src = `/_local/mail/${encodeURIComponent(id)}.html`;
  else place("html").removeAttribute("src");
  views.find((button) => button.dataset.view === "html").hidden = !open.html;
  view(wanted);
  place("mail").hidden = false;
}

for (const button of views)
  button.addEventListener("click", () => {
    wanted = button.dataset.view;
    view(wanted);
  });
addEventListener("hashchange", read);
document.addEventListener("visibilitychange", look);
look();
read();
setInterval(look, SECONDS * 1000);
