// Shows a session that comes as fragmented MP4: MediaSource and a <video>, whose own clock keeps
// picture and sound together. For pages without WebCodecs or AudioWorklet, as on plain http://.

const RATE_HZ = 48000;
const START_SECONDS = 0.2; // what waits before it plays; grows where the network needs it
const LEAST_SECONDS = 0.12;
const MOST_SECONDS = 0.8;
const STEADY_MS = 20000;
const FAR_SECONDS = 1; // behind what is wished: there it jumps, else it plays a little faster
const KEPT_SECONDS = 5; // of what was shown
const BLIND_SECONDS = 10; // of movie without a picture on the screen: this browser cannot do it
const UNTOLD_SECONDS = 0.3; // off the screen browsers tell of few pictures, or none
const PROBE = 'video/mp4; codecs="avc1.640028, mp4a.40.2"';

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // the latter on an iPhone

export function canPlayMovies() {
  return Boolean(Source?.isTypeSupported(PROBE)) &&
    "requestVideoFrameCallback" in HTMLVideoElement.prototype;
}

/**
 * The same face as Player. Events: `picture` {frame, drawn} for each frame shown, `running` once sound
 * may be heard, `useless` where the browser plays none of it after all.
 * Time in the movie: a session's picture i stands at `offset` + (i - first) / fps, the next session
 * behind it, so that the last picture stays until then.
 */
export class MoviePlayer extends EventTarget {
  constructor() {
    super();
    this.figures = { shown: 0, dropped: 0, dry: 0, skewMs: 0, bufferMs: 0, intervalMs: 0 };
    this.rateHz = RATE_HZ;
    this.fps = 25;
    this.targetSeconds = START_SECONDS;
    this.steadySince = performance.now();
    this.loudness = 1;
    this.cut = 0; // utterances up to this one are not heard
    this.waiting = []; // to be appended: {init} or {bytes, frame}
    this.frames = []; // appended and not shown yet
    const video = document.createElement("video");
    Object.assign(video, {
      muted: true, playsInline: true, disableRemotePlayback: true,
    });
    this.surface = this.video = video;
    video.addEventListener("error", () => this.broken());
    video.addEventListener("waiting", () => this.ranDry());
    video.addEventListener("playing", () => {
      this.flows = true;
      this.tellRunning();
    });
    video.addEventListener("pause", () => this.tellRunning());
    this.seen = this.seen.bind(this);
    video.requestVideoFrameCallback(this.seen);
  }

  // ---- sound

  /** In a gesture of the user: until then browsers play it muted only. */
  resume() {
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
    this.allowed = true;
    this.setSound();
    this.play();
  }

  setVolume(value) {
    this.loudness = value;
    this.setSound();
  }

  setSound() {
    this.video.volume = this.loudness;
    this.video.muted = !this.allowed || this.cut > 0;
  }

  get audible() {
    return Boolean(this.allowed) && this.flows === true && !this.video.paused;
  }

  tellRunning() {
    if (this.audible === this.told) return;
    this.told = this.audible;
    this.dispatchEvent(new CustomEvent("running", { detail: { audible: this.audible } }));
  }

  play() {
    if (!this.video.src) return;
    this.video.play().catch((error) => {
      if (error.name !== "NotAllowedError" || !this.allowed) return;
      this.allowed = false; // it was no gesture after all
      this.setSound();
      this.play();
    });
  }

  /** For a microphone: the movie has its own sound. */
  audioContext() {
    return this.audio ??= new AudioContext({ sampleRate: this.rateHz });
  }

  // ---- what comes

  /** A new session. `onBroken()`: a key frame is needed. */
  begin(opened, onBroken) {
    const { num, den = 1 } = opened.fps;
    this.fps = num / den;
    this.opened = opened;
    this.onBroken = onBroken;
    this.first = undefined;
    this.from = 0;
    this.cut = 0;
    this.setSound();
    this.unseen = 0;
    this.waiting = [{ init: opened.codecConfig.slice() }];
    if (this.source?.readyState === "open") this.append();
    else this.attach();
  }

  /** No more of this session. The last picture stays. */
  end() {
    this.opened = null;
    this.waiting = [];
    this.frames = [];
  }

  attach() {
    const { video } = this;
    URL.revokeObjectURL(video.src);
    const source = new Source();
    this.source = source;
    this.buffer = null;
    this.flows = false;
    source.addEventListener("sourceopen", () => {
      if (this.source !== source) return;
      this.mime = this.opened?.mimeType ?? PROBE;
      try {
        this.buffer = source.addSourceBuffer(this.mime);
      } catch {
        this.broken();
        return;
      }
      this.buffer.addEventListener("updateend", () => this.append());
      this.append();
    });
    video.src = URL.createObjectURL(source);
    this.play();
  }

  take({ index = 0, utterance = 0, speaking = false, repeated = false, keyFrame, picture }) {
    if (keyFrame) this.first ??= index;
    const wanted = index >= this.from;
    if (keyFrame && this.from === Infinity) this.from = index + 1; // whose piece has this picture
    this.waiting.push({ bytes: wanted ? picture : null, frame: { index, utterance, speaking, repeated } });
    const { paused, readyState } = this.video;
    const blind = !this.shownAt && !paused && readyState < HTMLMediaElement.HAVE_CURRENT_DATA;
    if (blind && ++this.unseen > BLIND_SECONDS * this.fps) {
      this.dispatchEvent(new CustomEvent("useless"));
    }
    this.append();
  }

  /** What waits goes into the buffer, as far as it may now. */
  append() {
    const { buffer } = this;
    if (!buffer || buffer.updating || this.source.readyState !== "open" || this.closed) return;
    try {
      this.steer();
      const { video } = this;
      const old = buffer.buffered.length && video.currentTime - buffer.buffered.start(0);
      if (old > 2 * KEPT_SECONDS) {
        buffer.remove(0, video.currentTime - KEPT_SECONDS);
      } else if (this.waiting[0]?.init) {
        this.appendInit(this.waiting.shift().init);
      } else {
        this.appendPieces();
      }
    } catch {
      this.broken();
    }
  }

  appendInit(init) {
    const { buffer, opened } = this;
    buffer.abort();
    if (opened.mimeType !== this.mime) buffer.changeType(opened.mimeType);
    this.mime = opened.mimeType;
    const { buffered } = buffer;
    this.offset = buffered.length ? buffered.end(buffered.length - 1) + 1 : 0;
    buffer.timestampOffset = this.offset;
    buffer.appendBuffer(init);
  }

  appendPieces() {
    const next = this.waiting.findIndex(({ init }) => init);
    const pieces = this.waiting.splice(0, next < 0 ? this.waiting.length : next);
    for (const { frame } of pieces) {
      if (this.first === undefined) continue;
      frame.time = this.offset + (frame.index - this.first) / this.fps;
      // A picture of nobody, and still: the mouth of what was cut takes some frames to close.
      const follows = frame.utterance > this.cut ||
        (!frame.utterance && !frame.speaking && !frame.repeated);
      if (this.cut && follows) this.cutUntil ??= frame.time;
      this.frames.push(frame);
    }
    const bytes = joined(pieces.map((piece) => piece.bytes ?? new Uint8Array()));
    if (bytes.length > 0) this.buffer.appendBuffer(bytes);
  }

  /** Decoding failed, or the buffer: begins anew with the next key frame. */
  broken() {
    if (this.closed || !this.opened) return;
    this.breaks = (this.breaks ?? 0) + 1;
    if (this.breaks > 2) {
      this.dispatchEvent(new CustomEvent("useless"));
      return;
    }
    this.waiting = [{ init: this.opened.codecConfig.slice() }];
    this.frames = [];
    this.from = Infinity;
    this.attach();
    this.onBroken();
  }

  // ---- when it is shown

  /** Stays a target behind the newest that came. */
  steer() {
    const { video } = this;
    const { buffered } = this.buffer;
    if (buffered.length === 0) return;
    const start = buffered.start(buffered.length - 1);
    const end = buffered.end(buffered.length - 1);
    const ahead = end - video.currentTime;
    this.figures.bufferMs = Math.max(0, ahead * 1000);
    this.pass(video.currentTime - UNTOLD_SECONDS, false);
    if (video.currentTime < start || ahead > this.targetSeconds + FAR_SECONDS) {
      if (end - start < this.targetSeconds || video.seeking) return;
      this.jump(Math.max(start, end - this.targetSeconds));
      return;
    }
    if (this.cut && end > this.cutUntil) {
      this.cut = 0;
      if (this.cutUntil > video.currentTime + LEAST_SECONDS / 2) this.jump(this.cutUntil);
      this.setSound();
    }
    const rate = this.rateFor(ahead, video.playbackRate);
    if (rate !== video.playbackRate) video.playbackRate = rate;
    if (performance.now() - this.steadySince > STEADY_MS) {
      this.retarget(Math.max(this.targetSeconds - 0.02, LEAST_SECONDS));
    }
  }

  /** A little off once it is far from the target, until it is there. */
  rateFor(ahead, before) {
    const over = ahead - this.targetSeconds;
    if (over > (before > 1 ? 0 : 0.08)) return 1.08;
    return over < (before < 1 ? 0 : -0.08) ? 0.95 : 1;
  }

  jump(time) {
    this.flows = false;
    this.video.currentTime = time;
  }

  ranDry() {
    if (!this.flows || this.video.seeking) return;
    this.flows = false;
    ++this.figures.dry;
    this.retarget(Math.min(this.targetSeconds + 0.05, MOST_SECONDS));
  }

  retarget(seconds) {
    this.steadySince = performance.now();
    this.targetSeconds = seconds;
  }

  /** What waits of utterances up to this one is not heard, and left out once what follows is there. */
  hush(utterance) {
    this.cut = utterance;
    this.cutUntil = undefined;
    this.setSound();
  }

  /** A picture is on the screen. */
  seen(now, { mediaTime, presentedFrames, expectedDisplayTime }) {
    if (this.closed) return;
    const { video, figures } = this;
    video.requestVideoFrameCallback(this.seen);
    this.breaks = 0;
    figures.shown = presentedFrames;
    figures.dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
    figures.intervalMs = now - (this.shownAt ?? now);
    figures.skewMs = (video.currentTime - mediaTime) * 1000 + expectedDisplayTime - now;
    this.shownAt = now;
    this.pass(mediaTime + 0.5 / this.fps, true);
  }

  /** What was appended up to that time is over. */
  pass(time, drawn) {
    const later = this.frames.findIndex((frame) => frame.time > time);
    const frame = this.frames.splice(0, later < 0 ? this.frames.length : later).at(-1);
    if (frame) this.dispatchEvent(new CustomEvent("picture", { detail: { frame, drawn } }));
  }

  close() {
    this.closed = true;
    this.audio?.close();
    this.video.pause();
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }
}

function joined(arrays) {
  const out = new Uint8Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}
