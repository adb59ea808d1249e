// Light, dark, or as the reader's system says; the choice is kept where the browser lets a file keep one.
const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const onTheme = [];

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches;
}

function kept(value) {
  try {
    if (value !== undefined) localStorage.setItem("harness-theme", value);
    return localStorage.getItem("harness-theme");
  } catch {
    return null;
  }
}

function setTheme(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.querySelector("span").textContent = theme;
  onTheme.forEach((redraw) => redraw());
}

const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme || "auto") + 1) % THEMES.length];
  kept(next);
  setTheme(next);
  say("Theme: " + next);
});
systemDark.addEventListener("change", () => setTheme(root.dataset.theme || "auto"));
setTheme(THEMES.includes(kept()) ? kept() : "auto");
