// Which pictures this browser shows best, and encoded ones to what a canvas draws.

import { canPlayMovies } from "./movie_player.js";

const H264_PROBE = { codec: "avc1.640028", codedWidth: 1280, codedHeight: 720 };

const FORMATS = {
  webcodecs: "PICTURE_FORMAT_H264_AVCC",
  mse: "PICTURE_FORMAT_FMP4", // with the sound in it
  jpeg: "PICTURE_FORMAT_JPEG",
};

/** The kind that is wanted, where this browser has it; else its best: "webcodecs", "mse" or "jpeg". */
export async function bestPictures(wanted) {
  const here = ["jpeg"];
  if (canPlayMovies()) here.unshift("mse");
  if (await hasWebCodecs()) here.unshift("webcodecs");
  return here.includes(wanted) ? wanted : here[0];
}

/** Pictures by WebCodecs, and the sound that goes with them by AudioWorklet. */
async function hasWebCodecs() {
  if (!globalThis.VideoDecoder || !globalThis.AudioWorkletNode) return false;
  return VideoDecoder.isConfigSupported(H264_PROBE).then(({ supported }) => supported, () => false);
}

/** What OpenSession.video asks for. */
export function videoFormat(kind) {
  return { format: FORMATS[kind] };
}

/** `onPicture(tag, image)` in order; an image is closed by who gets it. `onBroken()`: a key frame is
 *  needed. `push(tag, bytes, isKey)` returns at once; `pending`: pushed, and not given yet. */
export class H264Pictures {
  constructor(opened, { onPicture, onBroken }) {
    Object.assign(this, { onPicture, onBroken });
    const hex = (byte) => byte.toString(16).padStart(2, "0");
    const config = opened.codecConfig.slice();
    this.config = {
      codec: `avc1.${hex(config[1])}${hex(config[2])}${hex(config[3])}`,
      codedWidth: opened.width, codedHeight: opened.height,
      description: config, optimizeForLatency: true,
    };
    this.tags = new Map();
    this.number = 0;
    this.start();
  }

  start() {
    this.needKey = true;
    this.tags.clear();
    this.decoder = new VideoDecoder({
      output: (image) => {
        const tag = this.tags.get(image.timestamp);
        this.tags.delete(image.timestamp);
        if (tag) this.onPicture(tag, image);
        else image.close();
      },
      error: () => this.broken(),
    });
    this.decoder.configure(this.config);
  }

  get pending() {
    return this.tags.size;
  }

  broken() {
    if (this.closed) return;
    this.start();
    this.onBroken();
  }

  push(tag, bytes, isKey) {
    if (this.needKey && !isKey) return;
    this.needKey = false;
    const timestamp = this.number++ * 1000;
    this.tags.set(timestamp, tag);
    try {
      this.decoder.decode(
        new EncodedVideoChunk({ type: isKey ? "key" : "delta", timestamp, data: bytes }));
    } catch {
      this.broken();
    }
  }

  close() {
    this.closed = true;
    if (this.decoder.state !== "closed") this.decoder.close();
  }
}

export class JpegPictures {
  constructor(_, { onPicture }) {
    this.onPicture = onPicture;
    this.last = Promise.resolve();
    this.pending = 0;
  }

  push(tag, bytes) {
    ++this.pending;
    const image = createImageBitmap(new Blob([bytes], { type: "image/jpeg" })).catch(() => null);
    this.last = this.last.then(async () => {
      const done = await image;
      --this.pending;
      if (this.closed) done?.close();
      else this.onPicture(tag, done);
    });
  }

  close() {
    this.closed = true;
  }
}
