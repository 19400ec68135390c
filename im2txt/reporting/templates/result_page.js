"use strict";
// The gallery of a result page. Whatever comes from files becomes text or the address of an image, never markup.
(() => {
  const CARDS_PER_PAGE = 24;
  const SHOWN_METRICS = 2;  // On every card; the one sorted by is shown besides.
  const { element, captionLine, beams } = captionElements;
  const { metrics, images, cropFraction } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const [search, sort, order, open] = ["search", "sort", "order", "open"].map(byId);
  const searched = images.map((image) =>
    [image.name, image.id, ...image.captions.map((caption) => caption.text), ...image.references].join("\n").toLowerCase()
  );
  const numWords = (caption) => caption.text.split(/\s+/).filter(Boolean).length;
  const values = {
    log_prob: (image) => image.captions[0]?.logProb,
    word_log_prob: (image) => image.captions[0] && image.captions[0].logProb / (numWords(image.captions[0]) + 1),
    words: (image) => image.captions[0] && numWords(image.captions[0]),
  };
  let randomOrder = [];
  let shown = [];
  let page = 0;

  function shuffle() {
    randomOrder = images.map(() => Math.random());
  }

  function choose() {
    const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = images.map((_, i) => i).filter((i) => parts.every((part) => searched[i].includes(part)));
    const sign = order.value === "down" ? -1 : 1;
    if (sort.value === "name") {
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      shown.sort((a, b) => -sign * compare(images[a].name, images[b].name));
    } else {
      const [kind, metric] = sort.value.split(" ");
      const value =
        kind === "random" ? (i) => randomOrder[i]
        : kind === "score" ? (i) => images[i].scores[metric]
        : (i) => values[kind](images[i]);
      // What has no value comes last, whatever the order.
      const key = new Map(shown.map((i) => [i, value(i)]));
      shown.sort((a, b) => {
        const [x, y] = [key.get(a), key.get(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || a - b;
        return sign * (x - y) || a - b;
      });
    }
    show(0);
  }

  function show(number) {
    const numPages = Math.max(1, Math.ceil(shown.length / CARDS_PER_PAGE));
    page = Math.min(Math.max(number, 0), numPages - 1);
    const first = page * CARDS_PER_PAGE;
    const onPage = shown.slice(first, first + CARDS_PER_PAGE);
    byId("cards").replaceChildren(...onPage.map((i) => card(images[i])));
    const count = (n) => n.toLocaleString("en");
    byId("position").textContent = shown.length
      ? `${count(first + 1)} to ${count(first + onPage.length)} of ${count(shown.length)} photographs`
      : "No photograph has these words.";
    for (const id of ["previous", "previous_below"]) byId(id).disabled = page === 0;
    for (const id of ["next", "next_below"]) byId(id).disabled = page === numPages - 1;
  }

  function card(image) {
    const made = element("article");
    if (image.address) {
      const picture = element("img", image.isSmall ? "small" : "");
      picture.alt = image.name;
      picture.decoding = "async";
      picture.src = image.address;
      made.append(picture);
    }
    const body = element("div");
    const [best, ...others] = image.captions;
    if (best) body.append(captionLine("p", "caption", best));
    else body.append(element("p", "missing", "The search found no caption."));
    const sortedBy = sort.value.split(" ")[1];
    const scores = metrics
      .filter((name, i) => (i < SHOWN_METRICS || name === sortedBy) && name in image.scores)
      .map((name) => `${name} ${image.scores[name].toFixed(2)}`);
    if (scores.length) body.append(element("p", "soft", scores.join(" · ")));
    if (image.captions.some((caption) => caption.words.length) || others.length) body.append(beams(image.captions, open.checked));
    if (image.references.length) {
      body.append(element("h3", "", "People wrote"));
      const list = element("ul");
      list.append(...image.references.map((text) => element("li", "", text)));
      body.append(list);
    }
    body.append(element("p", "name", image.name));
    made.append(body);
    if (image.address && best && best.attention.length) showAttention(made, best.attention);
    return made;
  }

  // A word of the best caption that is pointed at, or has the focus, darkens what the decoder did not look at before it.
  function showAttention(made, attention) {
    const side = Math.round(Math.sqrt(attention[0].length));
    if (side * side !== attention[0].length) return;
    const picture = made.querySelector("img");
    const shade = element("canvas", "attention");
    shade.width = shade.height = side;
    shade.hidden = true;
    made.append(shade);
    const context = shade.getContext("2d", { willReadFrequently: true });  // So few pixels need no graphics card.
    const show = (shares) => {
      const most = Math.max(...shares, 1);
      const pixels = context.createImageData(side, side);
      shares.forEach((share, i) => { pixels.data[4 * i + 3] = Math.round(210 * (1 - share / most)); });
      context.putImageData(pixels, 0, 0);
      // The photograph is fitted into its frame, and the encoder saw its centre.
      const scale = Math.min(picture.clientWidth / picture.naturalWidth, picture.clientHeight / picture.naturalHeight);
      const [width, height] = [picture.naturalWidth, picture.naturalHeight].map((size) => size * scale * cropFraction);
      shade.style.width = `${width}px`;
      shade.style.height = `${height}px`;
      shade.style.left = `${picture.offsetLeft + (picture.clientWidth - width) / 2}px`;
      shade.style.top = `${picture.offsetTop + (picture.clientHeight - height) / 2}px`;
      shade.hidden = false;
    };
    const hide = () => { shade.hidden = true; };
    made.querySelector(".words").querySelectorAll(".word").forEach((word, i) => {
      word.tabIndex = 0;
      word.title = "shows where the decoder looked";
      for (const event of ["pointerenter", "focus"]) word.addEventListener(event, () => show(attention[i]));
      for (const event of ["pointerleave", "blur"]) word.addEventListener(event, hide);
    });
  }

  function turn(by, isBelow) {
    show(page + by);
    if (isBelow) byId("photographs").scrollIntoView();
  }

  search.addEventListener("input", choose);
  sort.addEventListener("change", () => {
    if (sort.value === "random") shuffle();
    choose();
  });
  order.addEventListener("change", choose);
  open.addEventListener("change", () => {
    for (const details of document.querySelectorAll("#cards details")) details.open = open.checked;
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const [id, by] of [["previous", -1], ["next", 1]]) {
    byId(id).addEventListener("click", () => turn(by, false));
    byId(`${id}_below`).addEventListener("click", () => turn(by, true));
  }
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "n") turn(1, false);
    else if (event.key === "p") turn(-1, false);
  });
  shuffle();
  choose();
})();
