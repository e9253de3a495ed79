// One asset, as it arrives: the answer's headers and the browser's own measurements.

/**
 * Ask for `url` and tell its content-coding, cache header and sizes in bytes.
 *
 * Another origin hides the sizes unless it sends Timing-Allow-Origin, and the content-coding
 * unless it exposes that header: `hidden` says that it shows neither.
 */
export async function arrival(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) return { error: `HTTP ${response.status}` };
    await response.arrayBuffer();
    const measured = performance.getEntriesByName(response.url).find((entry) => entry.encodedBodySize);
    const { encodedBodySize: size = 0, decodedBodySize: decoded = 0 } = measured ?? {};
    const header = response.headers.get("content-encoding");
    const elsewhere = new URL(url, location.href).origin !== location.origin;
    return {
      encoding: header ?? (size < decoded ? "encoded" : "identity"),
      hidden: elsewhere && !header && !size,
      cache: response.headers.get("cache-control"),
      size,
      decoded,
    };
  } catch (error) {
    return { error: error.message };
  }
}
