// Numbers and headers, in words.

/** Bytes in powers of 1,000: 412 B, 13.8 kB, 6.1 MB. */
export function bytes(size) {
  if (size < 1000) return `${size} B`;
  return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** How long a Cache-Control header lets a copy live. */
export function cacheFor(header) {
  if (!header) return "no cache header";
  const seconds = Number(/max-age=(\d+)/.exec(header)?.[1] ?? 0);
  const years = Math.round(seconds / 31536000);
  const span = years ? `${years} years` : `${seconds} s`;
  return /immutable/.test(header) ? `${span}, immutable` : span;
}
