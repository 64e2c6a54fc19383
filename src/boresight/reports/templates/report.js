"use strict";
// Shows one kind of item at a time. Without this script every item stays visible.
const filter = document.querySelector(".filter");
if (filter) {
  const buttons = [...filter.querySelectorAll("button")];
  const cards = [...document.querySelectorAll(".card")];
  filter.hidden = false;
  filter.addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
    for (const card of cards) card.hidden = Boolean(pressed.dataset.kind) && card.dataset.kind !== pressed.dataset.kind;
  });
}
