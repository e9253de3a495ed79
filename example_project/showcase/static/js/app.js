// What the browser really got, put beside what the manifest says.
import { bytes, cacheFor } from "./lib/format.js";
import { arrival } from "./lib/arrival.js";

const rows = [...document.querySelectorAll("[data-asset]")];

function describe({ error, hidden, encoding, size, cache }) {
  if (error) return ["refused", error];
  if (hidden) return [cacheFor(cache), "encoding and size not shown"];
  return [size ? `${encoding}, ${bytes(size)}` : encoding, cacheFor(cache)];
}

async function fill(row) {
  const got = await arrival(row.dataset.asset);
  const [text, note] = describe(got);
  const small = Object.assign(document.createElement("small"), { textContent: note });
  row.querySelector("[data-arrived]").replaceChildren(text, small);
  return got;
}

const all = await Promise.all(rows.map(fill));
const measured = all.filter((got) => got.size);
const sum = (key) => measured.reduce((total, got) => total + got[key], 0);
document.querySelector("[data-arrivals]").textContent = measured.length
  ? `${measured.length} files, ${bytes(sum("decoded"))} of content in ${bytes(sum("size"))} on the wire.`
  : "The files come from another origin, which lets pages read them but not their sizes.";
