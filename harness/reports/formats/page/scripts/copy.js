// Buttons that copy the text beside them.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", text, { readonly: "", class: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

async function copyFrom(button, text) {
  const done = await copy(text);
  const words = button.dataset.words || (button.dataset.words = button.textContent);
  button.textContent = done ? "Copied" : "Not allowed";
  say(done ? "Copied" : "The browser does not let this page copy");
  setTimeout(() => (button.textContent = words), 2000);
}

all(".copy").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => copyFrom(button, button.parentElement.querySelector("code").textContent));
});
