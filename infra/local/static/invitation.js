"use strict";
// The token stands behind the #, so it reaches no server's log before it is sent on purpose.
const form = document.getElementById("accept");
const outcome = document.getElementById("outcome");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { token: location.hash.slice(1), password: form.password.value };
  if (form.email.value) body.email = form.email.value;
  outcome.textContent = "Sending.";
  try {
    const answer = await fetch("/api/auth/invitations/accept", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      history.replaceState(null, "", location.pathname);
      form.reset();
      outcome.textContent = "Your password is set. You can log in now.";
    } else {
      const problem = await answer.json();
      const details = (problem.errors ?? []).map((error) => error.detail);
      outcome.textContent = [problem.detail, ...details].join(" ");
    }
  } catch {
    outcome.textContent = "No answer. Try again in a moment.";
  }
});
