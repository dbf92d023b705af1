// <lipcast-avatar server="https://host/" avatar="demo" token="..."></lipcast-avatar>
//
// A person, alive as soon as it is in the page. docs/page.md says what it takes and tells.

import { failureMessage } from "./messages.js";
import { MoviePlayer } from "./movie_player.js";
import { bestPictures, videoFormat } from "./pictures.js";
import { Player } from "./player.js";
import { Session, headersOf } from "./session.js";

export class LipcastAvatar extends HTMLElement {
  static observedAttributes = ["server", "avatar", "token", "pictures"];

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this.showOn(document.createElement("canvas"));
    this.speaking = false;
    this.leave = () => {
      this.closeMicrophone();
      this.endSession();
    };
    this.comeBack = ({ persisted }) => {
      if (persisted) this.reopen();
    };
  }

  connectedCallback() {
    if (!this.style.display) this.style.display = "block";
    this.live = true;
    // A browser may keep a page that is left as it is, and its socket open: nobody would read it.
    addEventListener("pagehide", this.leave);
    addEventListener("pageshow", this.comeBack);
    this.start();
  }

  disconnectedCallback() {
    this.live = false;
    removeEventListener("pagehide", this.leave);
    removeEventListener("pageshow", this.comeBack);
    this.closeMicrophone();
    this.closePlayer();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.live || before === now) return;
    if (name === "pictures") this.start();
    else this.reopen();
  }

  /** The canvas, or the <video> of a movie. */
  showOn(surface) {
    this.surface = surface;
    if (surface instanceof HTMLCanvasElement) {
      surface.setAttribute("role", "img");
      surface.style.visibility = "hidden"; // black until its first picture, unlike a <video>
    }
    surface.setAttribute("aria-label", "Avatar");
    Object.assign(surface, { width: 1280, height: 720 }); // until it is known
    Object.assign(surface.style, {
      display: "block", width: "100%", height: "100%", objectFit: "contain",
    });
    this.shadowRoot.replaceChildren(surface);
  }

  /** Where v1/ lies: the folder of the document, unless `server` says otherwise. */
  get base() {
    return new URL(this.getAttribute("server") ?? ".", document.baseURI);
  }

  /** What shows the pictures: "webcodecs", "mse" or "jpeg". */
  get pictures() {
    return this.kind;
  }

  get audible() {
    return this.player?.audible ?? false;
  }

  /** 0..1 */
  set volume(value) {
    this.loudness = value;
    if (this.player) this.player.setVolume(value);
  }

  get volume() {
    return this.loudness ?? 1;
  }

  get figures() {
    return { ...this.player?.figures, ...this.times };
  }

  async start() {
    this.closePlayer();
    const start = this.starts = (this.starts ?? 0) + 1;
    const kind = await bestPictures(this.useless ? "jpeg" : this.getAttribute("pictures"));
    if (!this.live || start !== this.starts) return;
    const player = kind === "mse" ? new MoviePlayer() : new Player(kind);
    Object.assign(this, { kind, player });
    player.addEventListener("picture", ({ detail }) => this.shown(detail));
    player.addEventListener("running", ({ detail }) => this.tell("audible", detail));
    player.addEventListener("useless", () => {
      this.useless = true;
      this.start();
    });
    player.setVolume(this.volume);
    this.showOn(player.surface);
    this.reopen();
  }

  closePlayer() {
    this.endSession();
    this.player?.close();
    this.player = null;
  }

  /** A session of the avatar that the attributes name. */
  reopen() {
    if (!this.player || !this.kind) return;
    this.endSession();
    if (!this.getAttribute("avatar")) return;
    this.surface.setAttribute("aria-label", `Avatar ${this.getAttribute("avatar")}`);
    this.asked = performance.now();
    this.times = {};
    const session = new Session({
      base: this.base, avatar: this.getAttribute("avatar"), token: this.getAttribute("token"),
      rateHz: this.player.rateHz, video: videoFormat(this.kind),
    });
    this.session = session;
    session.addEventListener("opened", ({ detail }) => this.opened(detail));
    session.addEventListener("frame", ({ detail }) => this.player.take(detail));
    for (const name of ["started", "finished", "cleared", "warning"]) {
      session.addEventListener(name, ({ detail }) => this.tell(name, detail));
    }
    session.addEventListener("failed", ({ detail }) => {
      const { title, text } = failureMessage(detail);
      this.tell("failed", { ...detail, message: `${title}. ${text}` });
      this.setSpeaking(false);
    });
  }

  endSession() {
    this.session?.close();
    this.session = null;
    this.player?.end();
    this.setSpeaking(false);
  }

  opened(opened) {
    this.player.begin(opened, () => this.session?.keyFrame());
    this.tell("opened", opened);
  }

  shown({ frame, drawn }) {
    const now = performance.now();
    const { times } = this;
    if (drawn && times.firstPictureMs === undefined) {
      this.surface.style.visibility = "";
      times.firstPictureMs = now - this.asked;
      this.tell("picture", { ms: times.firstPictureMs });
    }
    if (drawn && this.spoke && this.spoke === frame.utterance) {
      times.speakMs = now - this.session.neededAt;
      this.spoke = 0;
    }
    if (drawn && this.stopped) this.closing(frame, now - this.stopped.at);
    this.setSpeaking(frame.speaking);
  }

  /** The first picture that is none of what was stopped, and the first with a still mouth. */
  closing({ utterance, speaking }, ms) {
    if (utterance && utterance <= this.stopped.utterance) return;
    if (!this.stopped.seen) this.times.stopMs = ms;
    this.stopped.seen = true;
    if (speaking && !utterance) return;
    if (!speaking) this.times.stillMs = ms;
    this.stopped = null;
  }

  setSpeaking(speaking) {
    if (speaking === this.speaking) return;
    this.speaking = speaking;
    this.tell("state", { speaking });
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Call it in a gesture of the user; speak() does so itself. */
  resume() {
    return this.player?.resume();
  }

  /**
   * Speaks a Blob or File that the browser can decode, an ArrayBuffer of the same, an AudioBuffer, or
   * a MediaStream until stop(). What is being spoken is interrupted. Rejects with an EncodingError
   * for a sound that cannot be decoded, with an InvalidStateError while there is no session.
   */
  async speak(source) {
    this.resume();
    if (source instanceof MediaStream) return this.listen(source);
    const encoded = source instanceof Blob ? await source.arrayBuffer() : source;
    const buffer = encoded instanceof AudioBuffer ? encoded
      : await new OfflineAudioContext(1, 1, this.player.rateHz).decodeAudioData(encoded);
    const samples = await mono(buffer, this.player.rateHz);
    this.interrupt();
    return this.spoken(this.session?.speak(samples));
  }

  /** Speaks a text, where the server has a program for that; else rejects. */
  async say(text) {
    this.resume();
    const answer = await fetch(new URL("v1/say", this.base), {
      method: "POST",
      headers: { ...headersOf(this.getAttribute("token")), "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });
    if (!answer.ok) {
      const { message = `HTTP ${answer.status}` } = await answer.json().catch(() => ({}));
      throw new Error(message);
    }
    return this.speak(await answer.arrayBuffer());
  }

  async listen(stream) {
    await this.player.resume();
    const audio = this.player.audioContext();
    if (!audio) throw new DOMException("wants a gesture first", "NotAllowedError");
    await audio.audioWorklet.addModule(new URL("microphone_worklet.js", import.meta.url));
    this.interrupt();
    const utterance = this.spoken(this.session?.begin());
    const node = new AudioWorkletNode(audio, "microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.session?.push(utterance, data);
    const from = audio.createMediaStreamSource(stream);
    from.connect(node);
    this.microphone = { stream, from, node, utterance };
    return utterance;
  }

  spoken(utterance) {
    if (!utterance) throw new DOMException("no session with the server", "InvalidStateError");
    this.spoke = utterance;
    return utterance;
  }

  /** Ends speech now. A microphone is let go. */
  stop() {
    this.interrupt();
  }

  /** Lets go of the microphone; what it heard is spoken to its end. */
  endListening() {
    const utterance = this.microphone?.utterance;
    this.closeMicrophone();
    if (utterance) this.session?.end(utterance);
  }

  interrupt() {
    this.closeMicrophone();
    if (this.speaking) {
      this.stopped = { at: performance.now(), utterance: this.session?.utterance };
    }
    this.spoke = 0;
    if (!this.session?.utterance) return; // nothing was said
    this.session.clear();
    this.player.hush(this.session.utterance);
  }

  closeMicrophone() {
    const { stream, from, node } = this.microphone ?? {};
    this.microphone = null;
    from?.disconnect();
    node?.port.close();
    for (const track of stream?.getTracks() ?? []) track.stop();
  }
}

/** Int16 samples of one channel, the mean of all, at that rate. */
async function mono(buffer, rateHz) {
  let source = buffer;
  if (source.sampleRate !== rateHz) {
    const length = Math.max(1, Math.ceil(source.duration * rateHz));
    const offline = new OfflineAudioContext(source.numberOfChannels, length, rateHz);
    const node = new AudioBufferSourceNode(offline, { buffer });
    node.connect(offline.destination);
    node.start();
    source = await offline.startRendering();
  }
  const channels = Array.from({ length: source.numberOfChannels }, (_, c) =>
    source.getChannelData(c));
  const samples = new Int16Array(source.length);
  for (let i = 0; i < samples.length; ++i) {
    let sum = 0;
    for (const channel of channels) sum += channel[i];
    samples[i] = Math.max(-1, Math.min(1, sum / channels.length)) * 32767;
  }
  return samples;
}

// A page may have it from two servers: one is enough, as `server` says whose avatar it shows.
if (!customElements.get("lipcast-avatar")) customElements.define("lipcast-avatar", LipcastAvatar);
