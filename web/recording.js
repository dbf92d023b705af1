// The live session as an MP4, made by the server from the frames that it sends: the button, what is
// said of it, the download.

const POLL_MS = 400;
const PATIENCE = 40; // polls without an answer

const clock = (seconds) => {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const wait = () => new Promise((resolve) => setTimeout(resolve, POLL_MS));

/** States: idle, recording (also while it begins), saving; what came of it is said in `note`. */
export class RecordControls {
  /** `button` holds a <span> for its label; `note` is a status that holds `text` and `link`, the
   *  download. `fetched(path, options)` asks the server, `ticket()` gives a session token or "". */
  constructor({ button, note, text, link, fetched, ticket }) {
    Object.assign(this, { button, note, text, link, fetched, ticket });
    this.session = "";
    this.show("idle");
    button.addEventListener("click", () => {
      if (this.state === "idle") this.start();
      else if (this.state === "recording") this.stop();
    });
    link.addEventListener("click", (event) => this.download(event));
  }

  /** The id of the session that a press records; "" while there is none. */
  setSession(id) {
    this.session = id;
    this.show(this.state);
  }

  show(state, seconds = state === this.state ? this.seconds : 0) {
    Object.assign(this, { state, seconds });
    const { button } = this;
    button.disabled = state === "idle" && !this.session;
    button.setAttribute("aria-disabled", String(state === "saving")); // disabled it would lose the focus
    button.setAttribute("aria-pressed", String(state === "recording"));
    const label = {
      idle: "Record", recording: `Stop recording ${clock(seconds)}`, saving: "Saving…",
    }[state];
    button.querySelector("span").textContent = label;
  }

  /** A line for people; the address of a file that can be had, or none. */
  tell(text, file = "", alarm = false) {
    this.note.hidden = !text;
    this.note.toggleAttribute("data-alarm", alarm);
    this.text.textContent = text;
    this.link.hidden = !file;
    if (file) this.link.href = file.replace(/^\//, ""); // relative: a proxy may serve below a prefix
  }

  async start() {
    this.show("recording");
    this.tell("");
    try {
      const info = await this.ask(`v1/sessions/${encodeURIComponent(this.session)}/recordings`, "POST");
      this.id = info.id;
      if (this.state !== "recording") await this.ask(`v1/recordings/${this.id}/stop`, "POST");
      this.came(await this.follow(info));
    } catch (error) {
      this.tell(`The recording failed: ${error.message}.`, "", true);
    }
    this.id = null;
    this.show("idle");
  }

  async stop() {
    this.show("saving");
    if (!this.id) return; // start() sees it
    await this.ask(`v1/recordings/${this.id}/stop`, "POST").catch(() => {}); // follow() tells
  }

  /** Until it is over. What the server does not answer is asked again: it may be away for a moment. */
  async follow(info) {
    for (let silent = 0; info.state === "recording" || info.state === "saving";) {
      if (info.state === "saving") this.show("saving");
      else if (this.state === "recording") this.show("recording", info.seconds);
      await wait();
      try {
        info = await this.ask(`v1/recordings/${this.id}`);
        silent = 0;
      } catch (error) {
        if (error.status === 404) throw new Error("the server has it no more; was it started anew?");
        if (++silent > PATIENCE) throw new Error("the server does not answer");
      }
    }
    return info;
  }

  came({ state, error, endedBy, message, seconds, bytes, file }) {
    if (state !== "done") throw new Error(error.message);
    const why = endedBy === "stop" ? "" : ` It ended by itself: ${message}.`;
    this.tell(`Recorded ${clock(seconds)}, ${megabytes(bytes)}.${why}`, file);
  }

  async ask(path, method = "GET") {
    const answer = await this.fetched(path, { method });
    const json = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw Object.assign(new Error(json.message ?? `HTTP ${answer.status}`), { status: answer.status });
    }
    return json;
  }

  /** A browser sends no token with a link: it gets one that is good once. */
  async download(event) {
    if (this.link.search) return; // has one, and comes back here by click() below
    const ticket = this.ticket();
    if (!ticket) return;
    event.preventDefault();
    const plain = this.link.href;
    try {
      this.link.href = `${plain}?token=${encodeURIComponent(await ticket)}`;
      this.link.click();
    } catch (error) {
      this.tell(`The recording cannot be fetched: ${error.message}.`, "", true);
    }
    this.link.href = plain;
  }
}
