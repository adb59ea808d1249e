// Tables that sort by each column, filter by name and hide columns.
function valueOf(cell) {
  const number = cell.dataset.sort;
  return number === undefined ? cell.textContent.trim().toLowerCase() : Number(number);
}

// What has no number stands last, whichever way a column is sorted.
function compare(a, b, down) {
  const numbers = [a, b].map((value) => typeof value === "number");
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
  const order = numbers[0] ? a - b : a.localeCompare(b, undefined, { numeric: true });
  return down ? -order : order;
}

function sortBy(table, column, down) {
  const lines = all("tbody tr", table).map((line) => [valueOf(line.cells[column]), line]);
  lines.sort((a, b) => compare(a[0], b[0], down));
  table.tBodies[0].append(...lines.map(([, line]) => line));
  all("thead th", table).forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function sortable(table) {
  all("thead th", table).forEach((head, column) => {
    const number = head.classList.contains("number");
    const button = make("button", undefined, { type: "button" });
    button.append(...head.querySelectorAll(".label"));
    head.append(button);
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      const down = sorted ? sorted === "ascending" : number;
      sortBy(table, column, down);
      say("Sorted by " + head.textContent.trim() + (down ? ", highest first" : ", lowest first"));
    });
  });
}

function toCsv(table) {
  const lines = all("tr", table).filter((line) => !line.classList.contains("out"));
  const cells = (line) => Array.from(line.cells).filter((cell) => !cell.classList.contains("off"));
  const quoted = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(parseFloat(text)) ? "'" + text : text;
    return /[",\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  const words = (cell) => quoted(cell.textContent.trim().replace(/\s+/g, " "));
  return lines.map((line) => cells(line).map(words).join(",")).join("\n") + "\n";
}

function withTools(grid) {
  const tools = grid.querySelector(".tools"), table = grid.querySelector("table");
  const filter = tools.querySelector(".filter"), floors = tools.querySelector(".floors");
  const sort = tools.querySelector(".sort"), turn = tools.querySelector(".turn");
  tools.hidden = false;

  function choose() {
    const words = filter.value.trim().toLowerCase();
    const lines = all("tbody tr", table);
    lines.forEach((line) => {
      const hidden = floors && !floors.checked && line.classList.contains("floor");
      line.classList.toggle("out", Boolean(hidden || !line.textContent.toLowerCase().includes(words)));
    });
    const shown = lines.filter((line) => !line.classList.contains("out")).length;
    tools.querySelector(".count").textContent = shown === lines.length ? "" : shown + " of " + lines.length + " rows";
  }

  function resort() {
    const up = turn.getAttribute("aria-pressed") === "true";
    const number = table.tHead.rows[0].cells[sort.value].classList.contains("number");
    sortBy(table, Number(sort.value), number ? !up : up);
  }

  filter.addEventListener("input", choose);
  if (floors) floors.addEventListener("change", choose);
  sort.addEventListener("change", resort);
  turn.addEventListener("click", () => {
    turn.setAttribute("aria-pressed", String(turn.getAttribute("aria-pressed") !== "true"));
    resort();
  });
  all(".choices input", tools).forEach((box) => {
    box.addEventListener("change", () => {
      all("tr", table).forEach((line) => line.cells[box.value].classList.toggle("off", !box.checked));
    });
  });
  const chosen = tools.querySelector(".choose");
  chosen.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    chosen.open = false;
    chosen.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!chosen.contains(event.target)) chosen.open = false;
  });
  const copyButton = tools.querySelector(".copy-table");
  copyButton.addEventListener("click", () => copyFrom(copyButton, toCsv(table)));
}

all(".grid").forEach((grid) => {
  sortable(grid.querySelector("table"));
  if (grid.querySelector(".tools")) withTools(grid);
});
