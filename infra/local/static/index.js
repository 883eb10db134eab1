"use strict";
// Asks every service how it is, every five seconds while somebody looks.
const cards = [...document.querySelectorAll(".service")];
const sum = document.getElementById("sum");

async function ask(card) {
  const label = card.querySelector(".health");
  const started = performance.now();
  let up = false;
  try {
    const answer = await fetch(card.dataset.health, { cache: "no-store" });
    up = answer.ok;
    const took = Math.max(1, Math.round(performance.now() - started));
    label.textContent = up ? `up, ${took} ms` : `down (${answer.status})`;
  } catch {
    label.textContent = "no answer";
  }
  card.classList.toggle("up", up);
  card.classList.toggle("down", !up);
  return up;
}

async function all() {
  if (document.hidden) return;
  const up = (await Promise.all(cards.map(ask))).filter(Boolean).length;
  sum.textContent =
    up === cards.length ? "All services are up." : `${up} of ${cards.length} services are up.`;
}

all();
setInterval(all, 5000);
document.addEventListener("visibilitychange", all);
for (const place of document.querySelectorAll("pre code"))
  place.textContent = place.textContent.replace("http://127.0.0.1:8080", location.origin);
