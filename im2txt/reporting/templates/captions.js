"use strict";
// Captions as elements, for every page's script. Whatever comes from files becomes text, never markup.
const captionElements = (() => {
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A caption: {text, logProb, isComplete, words, wordLogProbs}.
  function captionLine(tag, className, caption) {
    const line = element(tag, className, `${caption.text || "(no word)"} `);
    const number = element("small", "", caption.logProb.toFixed(2) + (caption.isComplete ? "" : " …"));
    number.title = "log probability in nats" + (caption.isComplete ? "" : ", cut off at the greatest length");
    line.append(number);
    return line;
  }

  function beams(captions, isOpen) {
    const details = element("details");
    details.open = isOpen;
    details.append(element("summary", "", captions.length > 1 ? `Word by word, ${captions.length} captions` : "Word by word"));
    for (const caption of captions) {
      if (caption.words.length) details.append(wordByWord(caption));
      else details.append(captionLine("p", "others", caption));
    }
    return details;
  }

  function wordByWord(caption) {
    const line = element("p", "words");
    caption.wordLogProbs.forEach((logProb, i) => {
      const word = element("span", "word", caption.words[i] ?? "end");
      if (i >= caption.words.length) word.classList.add("end");
      const percent = 100 * Math.exp(logProb);
      const number = element("small", "", percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0));
      word.style.setProperty("--doubt", `${Math.round(100 - percent)}%`);
      word.append(number);
      line.append(word, " ");
    });
    const total = element("small", "total", caption.logProb.toFixed(2) + (caption.isComplete ? "" : " …"));
    line.append(total);
    return line;
  }

  return { element, captionLine, beams };
})();
