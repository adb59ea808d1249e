// Figures: drawn by Vega when they come into sight, in the page's theme, with zoom, files and numbers.
// Okabe and Ito's colours; the light ones are darker on white, the dark ones lighter on black.
const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#b1568d", "#a86f00", "#2f8fc4", "#1a1c20"],
  dark: ["#56a8e0", "#f08a3c", "#2fc797", "#e29bc3", "#e6a94a", "#8fd0f5", "#e8e9ec"],
};
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left"];
const views = new Map();

// How many entries of a legend stand side by side, that the longest is not cut.
function columnsOf(spec, width) {
  const units = (spec.layer || [spec]).map((unit) => unit.encoding.color).filter((colour) => colour && colour.scale);
  const names = units.flatMap((colour) => (colour.legend && colour.legend.values) || colour.scale.domain || []);
  const longest = Math.min(170, 7 * Math.max(0, ...names.map((name) => name.length)));
  return Math.max(1, Math.floor((width - 130) / (longest + 30)));
}

function themed(spec, width) {
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const ink = colour("ink"), soft = colour("soft"), font = getComputedStyle(document.body).fontFamily;
  const palette = PALETTES[isDark() ? "dark" : "light"];
  const text = { labelColor: ink, titleColor: soft, labelFont: font, titleFont: font, labelFontSize: 12, titleFontSize: 12 };
  return {
    background: null,
    aria: false,
    font: font,
    view: { stroke: null },
    axis: { ...text, titleFontWeight: "normal", gridColor: ink, gridOpacity: 0.1, domainColor: soft, tickColor: soft },
    legend: { ...text, orient: "bottom", columns: columnsOf(spec, width), labelLimit: 170, symbolSize: 70, rowPadding: 5, columnPadding: 14 },
    text: { color: soft, font: font, fontSize: 12 },
    rule: { color: ink },
    range: { category: palette, ordinal: palette, symbol: SHAPES },
  };
}

// Values that have the number of an image get the image itself, for the tooltip; else nothing that can be seen.
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";

function pictured(values, pictures) {
  return values.map((value) => ("number" in value ? { ...value, image: pictures[value.number] || NOTHING } : value));
}

// Domains under which a step is as long on both axes.
function equalDomains(spec, values, width) {
  const ends = (name) => [Math.min(...values.map((value) => value[name])), Math.max(...values.map((value) => value[name]))];
  const [x, y] = [ends("x"), ends("y")];
  const unit = 1.06 * Math.max((x[1] - x[0]) / width, (y[1] - y[0]) / spec.height) || 1;
  [["x", x, width], ["y", y, spec.height]].forEach(([name, [low, high], pixels]) => {
    const middle = (low + high) / 2, half = (unit * pixels) / 2;
    Object.assign(spec.encoding[name].scale, { domain: [middle - half, middle + half], nice: false });
  });
}

function specOf(chart, zoomed, pictures, width) {
  const spec = structuredClone(data.specs[chart.spec]);
  if (zoomed) {
    const first = spec.layer ? spec.layer[0] : spec;
    first.params = [{ name: "zoom", select: { type: "interval", encodings: chart.zoom }, bind: "scales" }];
  }
  if (chart.equal) equalDomains(spec, chart.values, width);
  spec.data = { name: "values", values: pictured(chart.values, pictures) };
  return spec;
}

// A page loads nothing, whatever a spec asks for.
const refuse = () => Promise.reject(new Error("this page loads nothing"));

async function draw(panel) {
  const chart = data.charts[panel.dataset.chart], plot = panel.querySelector(".plot");
  const zoomed = panel.querySelector('.zoom[aria-pressed="true"]') !== null;
  const before = views.get(panel);
  views.set(panel, null);
  if (before) before.finalize();
  const spec = specOf(chart, zoomed, data.pictures[panel.closest(".report").id], plot.clientWidth);
  const drawn = await vegaEmbed(plot, spec, {
    mode: "vega-lite",
    ast: true, // no eval: the page's policy forbids it
    actions: false,
    logLevel: 1, // errors
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
    renderer: "canvas",
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
    config: themed(spec, plot.clientWidth),
  });
  plot.classList.add("drawn");
  plot.classList.toggle("zooming", zoomed);
  plot.querySelectorAll("[tabindex], [role]").forEach((part) => part.removeAttribute("role"));
  views.set(panel, drawn);
}

async function saveFigure(panel, form) {
  const { view } = views.get(panel) || (await draw(panel), views.get(panel));
  const title = data.charts[panel.dataset.chart].title;
  const before = view.background();
  view.background(getComputedStyle(root).getPropertyValue("--page").trim());
  const url = await view.toImageURL(form, form === "png" ? 3 : 1);
  view.background(before);
  save(title.replace(/[^\p{L}\p{N}.-]+/gu, "-") + "." + form, url);
  say("Saved as " + form.toUpperCase());
}

// The values of a figure as a table, for who does not see it; made when it is opened.
function fillNumbers(panel) {
  const chart = data.charts[panel.dataset.chart], details = panel.querySelector(".numbers");
  if (details.querySelector("table")) return;
  const names = Object.keys(chart.numbers);
  const table = make("table");
  table.append(make("caption", chart.title, { class: "unseen" }));
  const head = table.createTHead().insertRow(), body = table.createTBody();
  names.forEach((name) => head.append(make("th", chart.numbers[name], { scope: "col" })));
  chart.values.forEach((value) => {
    const line = body.insertRow();
    names.forEach((name) => (line.insertCell().textContent = value[name] ?? "-"));
  });
  const scroll = make("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": chart.title + ": numbers" });
  scroll.append(table);
  details.append(scroll);
}

const panels = all(".panel[data-chart]");
const seen = new IntersectionObserver(
  (entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      seen.unobserve(entry.target);
      if (!views.has(entry.target)) draw(entry.target);
    });
  },
  { rootMargin: "400px" },
);

panels.forEach((panel) => {
  panel.querySelector(".plot-tools").hidden = false;
  const zoom = panel.querySelector(".zoom");
  if (zoom) zoom.addEventListener("click", () => {
    const on = zoom.getAttribute("aria-pressed") !== "true";
    zoom.setAttribute("aria-pressed", String(on));
    draw(panel);
    say(on ? "Zoom on: turn the wheel, or drag" : "Zoom off");
  });
  all(".save", panel).forEach((button) => {
    button.addEventListener("click", () => saveFigure(panel, button.dataset.form));
  });
  panel.querySelector(".numbers").addEventListener("toggle", () => fillNumbers(panel));
  seen.observe(panel);
});
onTheme.push(() => panels.filter((panel) => views.get(panel)).forEach((panel) => draw(panel)));

// Print shows all of it: what is folded is opened, what was not in sight is drawn.
addEventListener("beforeprint", () => {
  all("details").forEach((details) => {
    if (details.matches(".choose, .numbers")) return;
    details.open = true;
  });
  panels.filter((panel) => !views.has(panel)).forEach((panel) => draw(panel));
});
