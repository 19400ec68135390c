"use strict";
// Loads the page anew while runs go on, and keeps open what was open; the browser itself keeps the place.
(() => {
  const { refreshSecs } = JSON.parse(document.getElementById("data").textContent);
  const all = [...document.querySelectorAll("details[id]")];
  const opened = new Set((sessionStorage.getItem("opened") ?? "").split(" "));
  for (const details of all) {
    details.open = opened.has(details.id);
    details.addEventListener("toggle", () =>
      sessionStorage.setItem("opened", all.filter((each) => each.open).map((each) => each.id).join(" "))
    );
  }
  setTimeout(() => location.reload(), 1000 * refreshSecs);
})();
