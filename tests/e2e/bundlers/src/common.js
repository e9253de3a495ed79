export function say(word) {
  window.heard = [...(window.heard ?? []), word];
}
