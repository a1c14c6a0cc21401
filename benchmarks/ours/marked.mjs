// Requests that ask for time: byte 2, then microseconds as a little-endian uint32 (`reactor-load --slow-kind spin`).

/** @param {Uint8Array} data */
export function isMarked(data) {
  return data[0] === 2 && data.length >= 5;
}

/**
 * Computes for as long as the request asks.
 *
 * @param {Buffer} data
 */
export function busy(data) {
  const endMs = performance.now() + data.readUInt32LE(1) / 1_000;
  while (performance.now() < endMs);
}
