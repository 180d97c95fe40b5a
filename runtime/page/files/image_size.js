/**
 * `sizeOf` reads the size of an image off its header, so that a huge one need not be decoded.
 *
 * @param {Uint8Array} head The first bytes of a file.
 * @returns {number[]|null} Height and width; null if the format is another one or the header longer.
 */
export function sizeOf(head) {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  try {
    const found = FORMATS.find(({ magic, at = 0 }) => [...magic].every((c, i) => head[at + i] === c.charCodeAt(0)));
    return found ? found.read(view) : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // the header ends too early
    throw error;
  }
}

const FORMATS = [
  { magic: "\x89PNG", read: (view) => [view.getUint32(20), view.getUint32(16)] },
  { magic: "\xff\xd8", read: jpeg },
  { magic: "GIF8", read: (view) => [view.getUint16(8, true), view.getUint16(6, true)] },
  { magic: "BM", read: bitmap },
  { magic: "WEBP", at: 8, read: webp },
];

/** A text may begin with these two letters, too: the header behind them has one of few lengths. */
function bitmap(view) {
  if (![40, 52, 56, 64, 108, 124].includes(view.getUint32(14, true))) return null;
  return [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)];
}

/** Walk the segments of a JPEG to the frame's. */
function jpeg(view) {
  let at = 2;
  for (;;) {
    while (view.getUint8(at + 1) === 0xff) at += 1; // filling
    const marker = view.getUint8(at + 1);
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return [view.getUint16(at + 5), view.getUint16(at + 7)];
    at += 2 + view.getUint16(at + 2);
  }
}

function webp(view) {
  const kind = view.getUint8(15);
  const three = (at) => 1 + view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (kind === "X".charCodeAt(0)) return [three(27), three(24)];
  if (kind === "L".charCodeAt(0)) {
    const bits = view.getUint32(21, true);
    return [1 + ((bits >> 14) & 0x3fff), 1 + (bits & 0x3fff)];
  }
  return [view.getUint16(28, true) & 0x3fff, view.getUint16(26, true) & 0x3fff];
}
