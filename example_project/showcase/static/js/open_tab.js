// Tells a tab that stays open of a new build: its page has <meta name="build-version">, and every
// answer of the site the header X-Build-Version. The tab asks when somebody comes back to it, at
// most once a minute.
const MINUTE = 60_000;
const own = document.querySelector('meta[name="build-version"]')?.content;
let askedAt = Date.now();

// For the answer of any request that the page makes anyway.
export function noteBuild(response) {
  const current = response.headers.get("X-Build-Version");
  if (own && current && current !== own) {
    document.querySelector("[data-new-build]")?.removeAttribute("hidden");
  }
}

async function ask() {
  if (document.hidden || Date.now() - askedAt < MINUTE) return;
  askedAt = Date.now();
  try {
    noteBuild(await fetch(location.href, { method: "HEAD", cache: "no-store" }));
  } catch {
    // Offline: the next time will do.
  }
}

if (own) document.addEventListener("visibilitychange", ask);
