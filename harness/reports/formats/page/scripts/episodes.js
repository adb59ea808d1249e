// The browser of episodes: support, queries, and what two rows answered.
function picture(images, index, words) {
  const source = images[index];
  return source ? make("img", undefined, { src: source, alt: words }) : make("span", "image " + index, { class: "no-picture" });
}

function options(select, names) {
  select.replaceChildren(...names.map((name, i) => make("option", name, { value: String(i) })));
}

function answer(name, label, episode, truth) {
  const right = label === truth;
  const line = make("p", undefined, { class: right ? "right" : "wrong" });
  line.append(make("span", right ? "✓ " : "✗ ", { "aria-hidden": "true" }), make("b", name + ": "));
  line.append(episode.classes[label] ?? "-", make("span", right ? ", right" : ", wrong", { class: "unseen" }));
  return line;
}

function showEpisode(place, setting, episode, first, second, differing, images) {
  const answers = [first, second].map((row) => episode.answers[row]);
  const score = (of) => of.filter((label, q) => label === episode.truth[q]).length;
  const differ = answers[0].filter((label, q) => label !== answers[1][q]).length;
  const n = episode.truth.length;
  place.querySelector(".summary").textContent =
    first + " is right in " + score(answers[0]) + " of " + n + ", " + second + " in " + score(answers[1]) + "; they differ in " + differ + ".";
  const shown = place.querySelector(".shown");
  shown.replaceChildren();
  episode.classes.forEach((name, label) => {
    const group = make("section", undefined, { "aria-label": "Class " + name });
    group.append(make(document.querySelector("h3.part") ? "h4" : "h3", name, { class: "queries-of" }));
    const support = make("div", undefined, { class: "support" });
    support.append(make("p", "Support"));
    episode.support[label].forEach((index) => support.append(picture(images, index, "support image of " + name)));
    const list = make("ul", undefined, { class: "queries" });
    episode.truth.forEach((truth, q) => {
      if (truth !== label || (differing && answers[0][q] === answers[1][q])) return;
      const card = make("li");
      card.append(picture(images, episode.query[q], "query of " + name));
      card.append(answer(first, answers[0][q], episode, truth));
      if (second !== first) card.append(answer(second, answers[1][q], episode, truth));
      list.append(card);
    });
    group.append(support);
    if (list.children.length) group.append(list);
    else group.append(make("p", "They answer alike in all queries of this class.", { class: "soft" }));
    shown.append(group);
  });
}

all(".episodes").forEach((place) => {
  const settings = data.episodes[place.dataset.episodes], images = data.pictures[place.dataset.episodes];
  const [setting, episode, first, second] = ["setting", "episode", "first", "second"].map((name) => place.querySelector("." + name));
  const differing = place.querySelector(".differing");
  place.hidden = false;
  const current = () => settings[setting.value];

  function show() {
    const rows = current().rows;
    showEpisode(place, current(), current().episodes[episode.value], rows[first.value], rows[second.value], differing.checked, images);
  }
  function chooseEpisode() {
    const pair = current().episodes[episode.value].pair.map((row) => String(current().rows.indexOf(row)));
    [first.value, second.value] = pair;
    show();
  }
  function chooseSetting() {
    options(episode, current().episodes.map((one) => one.number + 1 + ": " + one.why));
    options(first, current().rows);
    options(second, current().rows);
    chooseEpisode();
  }
  function step(by) {
    const n = current().episodes.length;
    episode.value = String((Number(episode.value) + by + n) % n);
    chooseEpisode();
  }
  options(setting, settings.map((one) => one.name));
  setting.addEventListener("change", chooseSetting);
  episode.addEventListener("change", chooseEpisode);
  [first, second, differing].forEach((control) => control.addEventListener("change", show));
  place.querySelector(".previous").addEventListener("click", () => step(-1));
  place.querySelector(".next").addEventListener("click", () => step(1));
  chooseSetting();
});
