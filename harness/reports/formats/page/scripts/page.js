// What the other parts use.
const data = JSON.parse(document.getElementById("page-data").textContent);
const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));

function make(tag, text, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  Object.entries(attributes || {}).forEach(([name, value]) => element.setAttribute(name, value));
  return element;
}

// For screen readers: what a button did.
function say(text) {
  document.getElementById("said").textContent = text;
}

function save(name, url) {
  const link = make("a", "", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
