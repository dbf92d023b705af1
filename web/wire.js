// The few protobuf messages of a session (proto/lipcast/v1/lipcast.proto), as bytes and back.

const text = new TextDecoder();

/** Reads the fields of one message: `on(number, value)`, where a value is a BigInt-free number for
 *  integers, a Uint8Array view for bytes and messages. Unknown wire types throw. */
function fields(bytes, on) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte & 0x80);
    return value; // exact below 2^53, and nothing here is above
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    if (kind === 0) {
      on(tag >>> 3, varint());
    } else if (kind === 1) {
      on(tag >>> 3, view.getFloat64(at, true));
      at += 8;
    } else if (kind === 2) {
      const size = varint();
      on(tag >>> 3, bytes.subarray(at, at + size));
      at += size;
    } else if (kind === 5) {
      on(tag >>> 3, view.getFloat32(at, true));
      at += 4;
    } else {
      throw new Error(`protobuf: wire type ${kind}`);
    }
  }
}

const utf8 = (bytes) => text.decode(bytes);
const rational = { 1: ["num", Number], 2: ["den", Number] };
const audioFormat = { 1: ["rateHz", Number], 2: ["channels", Number], 3: ["sampleType", Number] };
const same = (value) => value;
const flag = (value) => value !== 0;
const message = (shape) => (bytes) => decode(bytes, shape);

const events = {
  1: ["opened", message({
    1: ["session", utf8], 2: ["avatar", utf8], 3: ["fps", message(rational)],
    4: ["width", Number], 5: ["height", Number], 6: ["audio", message(audioFormat)],
    7: ["sound", message(audioFormat)], 8: ["provider", utf8], 9: ["codecConfig", same],
    10: ["mimeType", utf8],
  })],
  2: ["frame", message({
    1: ["index", Number], 3: ["utterance", Number], 4: ["speaking", flag], 5: ["repeated", flag],
    6: ["keyFrame", flag], 7: ["picture", same], 8: ["sound", same], 9: ["background", Number],
  })],
  3: ["started", message({ 1: ["utterance", Number], 2: ["frame", Number] })],
  4: ["finished", message({
    1: ["utterance", Number], 2: ["playedSamples", Number], 3: ["interrupted", flag],
  })],
  5: ["cleared", message({
    1: ["request", Number], 2: ["utterance", Number], 3: ["playedSamples", Number],
  })],
  6: ["state", message({ 1: ["state", Number], 2: ["frame", Number] })],
  7: ["warning", message({ 1: ["message", utf8] })],
};

function decode(bytes, shape) {
  const out = {};
  fields(bytes, (number, value) => {
    const field = shape[number];
    if (field) out[field[0]] = field[1](value);
  });
  return out;
}

/** One SpeakResponse: { opened | frame | started | finished | cleared | state | warning }.
 *  Fields that are zero are not there. */
export function decodeResponse(buffer) {
  return decode(new Uint8Array(buffer), events);
}

/** A SpeakRequest with `audio`: PCM16 samples of an utterance, as bytes. */
export function encodeAudio(utterance, samples) {
  const data = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  const inner = [0x08, ...varintOf(utterance), 0x12, ...varintOf(data.length)];
  const head = [0x12, ...varintOf(inner.length + data.length), ...inner];
  const out = new Uint8Array(head.length + data.length);
  out.set(head);
  out.set(data, head.length);
  return out;
}

function varintOf(value) {
  const out = [];
  while (value >= 0x80) {
    out.push((value % 128) | 0x80);
    value = Math.floor(value / 128);
  }
  out.push(value);
  return out;
}
