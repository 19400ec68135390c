"use strict";
// Photographs from the picker or dropped, sent to the service a few at a time. Whatever it answers becomes text.
(() => {
  const { element, captionLine, beams } = captionElements;
  const MOST_AT_ONCE = 3;
  const MOST_TRIES = 5;  // Of a service that says it is full.
  const byId = (id) => document.getElementById(id);
  const [files, open, clear, cards] = ["files", "open", "clear", "cards"].map(byId);
  const waiting = [];
  let numRunning = 0;
  let numDone = 0;
  let numShown = 0;

  function tell() {
    byId("state").textContent =
      numShown === 0 ? "No photographs yet."
      : numDone < numShown ? `${numDone} of ${numShown} done …`
      : numShown === 1 ? "1 photograph done." : `${numShown} photographs done.`;
    clear.disabled = numShown === 0 || numDone < numShown;
  }

  function add(chosen) {
    for (const file of chosen) {
      const card = element("article");
      const picture = element("img");
      picture.alt = file.name;
      picture.src = URL.createObjectURL(file);
      picture.addEventListener("error", () => picture.replaceWith(element("div", "undecodable", "This browser does not show it.")));
      const body = element("div");
      body.append(element("p", "caption", "…"), element("p", "name", file.name));
      card.append(picture, body);
      cards.prepend(card);
      waiting.push({ file, body });
      numShown += 1;
    }
    tell();
    next();
  }

  function next() {
    while (numRunning < MOST_AT_ONCE && waiting.length) {
      const { file, body } = waiting.shift();
      numRunning += 1;
      captionsOf(file)
        .then((captions) => show(body, captions), (error) => body.firstChild.replaceWith(element("p", "missing", error.message)))
        .finally(() => {
          numRunning -= 1;
          numDone += 1;
          tell();
          next();
        });
    }
  }

  async function captionsOf(file) {
    for (let tries = 1; ; tries += 1) {
      const form = new FormData();
      form.append("photograph", file);
      let response;
      try {
        response = await fetch("captions", { method: "POST", body: form });
      } catch {
        throw new Error("The service does not answer.");
      }
      if (response.status === 429 && tries < MOST_TRIES) {
        const secs = Number(response.headers.get("Retry-After")) || 1;
        await new Promise((resolve) => setTimeout(resolve, 1000 * secs));
        continue;
      }
      const answer = await response.json().catch(() => ({ error: `The service answered with status ${response.status}.` }));
      if (!response.ok) throw new Error(answer.error);
      return answer.photographs[0].captions.map((caption) => ({
        text: caption.caption,
        logProb: caption.log_prob,
        isComplete: caption.is_complete,
        words: caption.words.split(" "),
        wordLogProbs: caption.word_log_probs,
      }));
    }
  }

  function show(body, captions) {
    if (!captions.length) {
      body.firstChild.replaceWith(element("p", "missing", "The search found no caption."));
      return;
    }
    body.firstChild.replaceWith(captionLine("p", "caption", captions[0]), beams(captions, open.checked));
  }

  files.addEventListener("change", () => {
    add(files.files);
    files.value = "";  // So that the same file can be chosen again.
  });
  open.addEventListener("change", () => {
    for (const details of cards.querySelectorAll("details")) details.open = open.checked;
  });
  clear.addEventListener("click", () => {
    for (const picture of cards.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    cards.replaceChildren();
    numShown = numDone = 0;
    tell();
    files.focus();
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, () => document.body.classList.remove("dropping"));
  }
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    add(event.dataTransfer.files);
  });
  tell();
})();
