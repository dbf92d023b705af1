// Shows frames on a canvas at their time. The sound is the clock; without sound (no gesture yet, or none to be
// had) the page's own time is.

import { H264Pictures, JpegPictures } from "./pictures.js";

const RATE_HZ = 48000; // of what is sent and heard; browsers convert where the device has another
const START_SECONDS = 0.06; // what waits before it begins; grows where the network needs it
const LEAST_SECONDS = 0.04;
const MOST_SECONDS = 0.4;
const STEADY_MS = 20000;
const DECODED_PICTURES = 12; // a decoder has only so many; more wait as they came

/** Numbers of a moment, and what `figures.js` draws. */
function noFigures() {
  return { shown: 0, dropped: 0, dry: 0, skewMs: 0, bufferMs: 0, intervalMs: 0 };
}

/**
 * Events: `picture` {frame} for each frame shown, `running` once sound may be heard.
 * A frame is {index, utterance, speaking}; its time is index / fps.
 */
export class Player extends EventTarget {
  /** `kind`: "webcodecs" or "jpeg". */
  constructor(kind) {
    super();
    this.kind = kind;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false, desynchronized: false });
    this.figures = noFigures();
    this.queue = []; // decoded, by time
    this.encoded = []; // what follows them
    this.targetSeconds = START_SECONDS;
    this.fps = 25;
    this.rateHz = RATE_HZ;
    this.loudness = 1;
    this.epoch = 0; // of the sound: reports of an older one say nothing
    this.cut = 0; // utterances up to this one are not shown
    this.tick = this.tick.bind(this);
    this.ticking = requestAnimationFrame(this.tick);
  }

  /** To be called in a gesture of the user: browsers let no page sound before, and complain of one
   *  that tries. Opens the sound the first time. */
  resume() {
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return undefined;
    this.opening ??= this.openSound().catch(() => {}); // without it pictures come alone
    if (this.audio?.state === "suspended") this.audio.resume().catch(() => {});
    return this.opening;
  }

  async openSound() {
    if (!globalThis.AudioWorkletNode) return; // a page that is neither https:// nor localhost
    const audio = new AudioContext({ latencyHint: "interactive", sampleRate: this.rateHz });
    this.audio = audio;
    await audio.audioWorklet.addModule(new URL("sound_worklet.js", import.meta.url));
    if (this.closed) return;
    this.sound = new AudioWorkletNode(audio, "sound", {
      numberOfInputs: 0, outputChannelCount: [1],
    });
    this.volume = new GainNode(audio, { gain: this.loudness });
    this.sound.connect(this.volume).connect(audio.destination);
    this.sound.port.onmessage = ({ data }) => this.heard(data);
    audio.onstatechange = () => this.audioChanged();
    this.audioChanged();
  }

  get surface() {
    return this.canvas;
  }

  /** Undefined before a gesture. */
  audioContext() {
    return this.audio;
  }

  setVolume(value) {
    this.loudness = value;
    if (this.volume) this.volume.gain.value = value;
  }

  get audible() {
    return Boolean(this.sound) && this.audio.state === "running";
  }

  audioChanged() {
    this.report = null;
    this.soundFrom = undefined; // from the next frame on
    this.dispatchEvent(new CustomEvent("running", { detail: { audible: this.audible } }));
  }

  /** A new session: its frames count from 0 again. The last picture stays until then. `onBroken()`: a
   *  key frame is needed. */
  begin(opened, onBroken) {
    const { num, den = 1 } = opened.fps;
    this.fps = num / den;
    this.rational = { num, den };
    this.end();
    const Decoder = this.kind === "webcodecs" ? H264Pictures : JpegPictures;
    this.decoder = new Decoder(opened, {
      onPicture: (frame, image) => this.show(frame, image), onBroken,
    });
    this.encoded = [];
    this.drop();
    this.report = null;
    this.soundFrom = undefined;
    this.wallStart = undefined;
    this.cut = 0;
    this.fresh = true;
  }

  /** Decodes no more of this session. */
  end() {
    this.decoder?.close();
  }

  take({ index = 0, utterance = 0, speaking = false, keyFrame, picture, sound }) {
    this.hear({ index, sound });
    this.see({ index, utterance, speaking }, picture, keyFrame);
  }

  firstSample(index) {
    return Math.floor((index * this.rateHz * this.rational.den) / this.rational.num);
  }

  /** The sound of a frame, as it comes. */
  hear(frame) {
    this.newest = frame.index;
    this.settleWall(this.newest);
    if (!this.audible || !frame.sound) return;
    if (this.soundFrom === undefined) {
      this.soundFrom = this.firstSample(this.newest);
      this.sound.port.postMessage({ target: Math.round(this.targetSeconds * this.rateHz) });
      this.sound.port.postMessage({ reset: this.soundFrom, epoch: ++this.epoch });
    }
    const bytes = frame.sound;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const samples = new Float32Array(bytes.length / 2);
    for (let i = 0; i < samples.length; ++i) samples[i] = view.getInt16(2 * i, true) / 32768;
    this.sound.port.postMessage({ push: samples }, [samples.buffer]);
  }

  /** An encoded picture as it comes; none: the one before stays. As much may wait as of the sound,
   *  and that is more than may be decoded. */
  see(frame, picture, isKey) {
    this.encoded.push({ frame, picture, isKey });
    this.decode();
  }

  decode() {
    if (document.hidden) this.skipDue(); // no tick does it
    const now = this.now();
    const key = this.encoded.findLastIndex((one) => one.isKey && this.timeOf(one) <= now);
    for (const { picture } of this.encoded.splice(0, Math.max(key, 0))) this.leaveOut(picture);
    while (this.encoded.length > 0 && this.queue.length + this.decoder.pending < DECODED_PICTURES) {
      const { frame, picture, isKey } = this.encoded.shift();
      if (picture) this.decoder.push(frame, picture, isKey);
      else this.show(frame, null);
    }
  }

  /** A decoded frame; without an image the one before stays. Takes the image. */
  show(frame, image) {
    if (this.closed) {
      image?.close();
      return;
    }
    const shown = { frame, image };
    const old = this.cut && frame.utterance && frame.utterance <= this.cut;
    if (old || (this.cut && !image)) {
      image?.close();
    } else if (this.fresh || (this.cut && !frame.utterance)) {
      // After a cut it is silent, so until the mouth is still pictures need not wait for their time.
      this.fresh = false;
      if (!frame.speaking) this.cut = 0;
      this.draw(shown);
    } else {
      this.cut = 0;
      this.queue.push(shown);
    }
    this.decode();
  }

  /** What waits of utterances up to this one is neither heard nor shown. */
  hush(utterance) {
    this.sound?.port.postMessage({ hush: true });
    this.cut = utterance;
    this.drop();
  }

  timeOf({ frame }) {
    return frame.index / this.fps;
  }

  /** Seconds of the session that are seen and heard now. */
  now() {
    const report = this.report;
    if (this.audible && report?.moving) {
      const latency = this.audio.outputLatency || this.audio.baseLatency || 0;
      return report.position / this.rateHz + this.audio.currentTime - report.at - latency;
    }
    return this.wallStart === undefined ? 0 : (performance.now() - this.wallStart) / 1000;
  }

  /** Our own clock stands a target behind the newest frame; small swings are the network's. */
  settleWall(index) {
    const arrived = performance.now();
    const wanted = arrived - (index / this.fps - this.targetSeconds) * 1000;
    const off = this.wallStart === undefined ? Infinity : wanted - this.wallStart;
    if (off > 1000 * this.targetSeconds || off < -500) this.wallStart = wanted;
  }

  heard(report) {
    if (report.epoch !== this.epoch || this.soundFrom === undefined) return;
    if (this.report && report.dry > this.figures.dry) {
      this.figures.dry = report.dry;
      this.retarget(Math.min(this.targetSeconds + 0.02, MOST_SECONDS));
    } else if (performance.now() - (this.steadySince ?? 0) > STEADY_MS) {
      this.retarget(Math.max(this.targetSeconds - 0.01, LEAST_SECONDS));
    }
    this.report = report;
    this.figures.bufferMs = (report.level / this.rateHz) * 1000;
  }

  retarget(seconds) {
    this.steadySince = performance.now();
    if (seconds === this.targetSeconds) return;
    this.targetSeconds = seconds;
    this.sound.port.postMessage({ target: Math.round(seconds * this.rateHz) });
  }

  tick() {
    this.ticking = requestAnimationFrame(this.tick);
    if (this.queue.length === 0) return;
    const now = this.skipDue();
    if (this.timeOf(this.queue[0]) > now) return;
    const due = this.queue.shift();
    this.figures.skewMs = (now - this.timeOf(due)) * 1000;
    this.draw(due);
    this.decode();
  }

  /** Lets go of what a later picture has overtaken; gives the time now. */
  skipDue() {
    const now = this.now();
    while (this.queue.length > 1 && this.timeOf(this.queue[1]) <= now) {
      const { image } = this.queue.shift();
      image?.close();
      this.leaveOut(image);
    }
    return now;
  }

  /** Counts a picture that came too late to be seen. */
  leaveOut(picture) {
    if (picture && !document.hidden) ++this.figures.dropped;
  }

  draw({ frame, image }) {
    if (image) {
      const { width, height } = sizeOf(image);
      if (this.canvas.width !== width || this.canvas.height !== height) {
        Object.assign(this.canvas, { width, height });
      }
      this.context.drawImage(image, 0, 0);
      image.close();
      const time = performance.now();
      if (this.lastShown) this.figures.intervalMs = time - this.lastShown;
      this.lastShown = time;
      ++this.figures.shown;
    }
    this.dispatchEvent(new CustomEvent("picture", { detail: { frame, drawn: Boolean(image) } }));
  }

  drop() {
    for (const { image } of this.queue.splice(0)) image?.close();
  }

  close() {
    this.closed = true;
    this.end();
    cancelAnimationFrame(this.ticking);
    this.drop();
    this.audio?.close();
  }
}

function sizeOf(image) {
  return { width: image.displayWidth ?? image.width, height: image.displayHeight ?? image.height };
}
