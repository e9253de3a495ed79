// Lists the files that the editor loads by paths of its own making.
const list = document.querySelector("[data-editor-files]");
const seen = new Set();

function note({ name }) {
  const path = new URL(name).pathname;
  const file = path.split("/tinymce/")[1];
  if (!file || seen.has(file)) return;
  if (!seen.size) list.replaceChildren();
  seen.add(file);
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("code"), { textContent: file }));
  list.append(item);
}

new PerformanceObserver((entries) => entries.getEntries().forEach(note))
  .observe({ type: "resource", buffered: true });
