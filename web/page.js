import "./avatar_element.js";
import { linkOf, soundOf } from "./deep_link.js";
import { Figures } from "./figures.js";
import {
  failureMessage, linkMessage, microphoneMessage, noSession, picturesHint, picturesNote, soundFileMessage, soundNote,
  uploadNote,
} from "./messages.js";
import { programLines } from "./programs.js";
import { RecordControls } from "./recording.js";
import { Failure, accessOf, headersOf, keptToken, sessionToken } from "./session.js";

const $ = (id) => document.getElementById(id);
const avatar = $("avatar");
const welcome = $("hint").textContent;
const link = linkOf(document.location.href);
const page = {
  linked: link.text || link.audio, listed: false, opened: null, failed: null, said: 0, capacity: null, uploadBytes: 0,
};

// ---- what the page says

function setStatus(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
}

function say(text, alarm = false) {
  $("hint").textContent = text;
  $("hint").toggleAttribute("data-alarm", alarm);
}

function showNotice(message) {
  $("notice").hidden = !message;
  if (!message) return;
  $("notice-title").textContent = message.title;
  $("notice-text").textContent = message.text;
  $("token-form").hidden = message.wants !== "token";
  $("start").hidden = message.wants !== "start";
  if (message.wants === "token") $("token").focus();
}

function showState() {
  const { speaking } = avatar;
  $("stop").disabled = !speaking && !avatar.microphone && !page.said;
  if (!page.opened || page.failed) return;
  const talks = speaking || page.said; // also in the pauses between its words
  setStatus(talks ? "speaking" : "idle", talks ? "Speaking" : "Ready");
}

// ---- the avatar

avatar.addEventListener("opened", ({ detail }) => {
  page.opened = detail;
  page.failed = null;
  page.said = 0;
  showNotice(page.linked ? linkMessage(link) : null);
  showState();
  recording.setSession(detail.session);
  document.body.style.setProperty("--shape", `${detail.width} / ${detail.height}`);
  if (!page.listed) showAvatars();
  const hint = picturesHint({ ...link, pictures: avatar.pictures, useless: avatar.useless });
  if (hint) say(hint);
});
avatar.addEventListener("failed", ({ detail }) => {
  page.failed = detail;
  page.said = 0;
  const message = failureMessage(detail);
  recording.setSession("");
  setStatus("failed", message.title);
  showNotice(message);
  showMicrophone(false);
  showState();
  if (!page.listed && [Failure.full, Failure.refused].includes(detail.failure)) showAvatars();
});
avatar.addEventListener("state", () => showState());
avatar.addEventListener("warning", ({ detail }) => say(detail.message));
avatar.addEventListener("finished", ({ detail }) => {
  if (detail.utterance === page.said) page.said = 0;
  showState();
});

// Browsers are silent until the person has done something.
for (const gesture of ["pointerdown", "pointerup", "keydown"]) {
  addEventListener(gesture, () => avatar.resume(), { capture: true });
}

// ---- making it speak

/** What was spoken last and can be a film: a Blob, or null. */
function keepForFilm(sound, name) {
  page.film = sound && { sound, name };
  $("film").hidden = !sound;
  $("film").disabled = Boolean(page.uploadBytes) && sound?.size > page.uploadBytes;
}

async function speak(source, failure) {
  if (page.linked && !page.failed) showNotice(null);
  page.linked = null; // whatever is spoken first, the link has had its turn
  showMicrophone(false);
  try {
    page.said = await (typeof source === "string" ? avatar.say(source) : avatar.speak(source));
    showState();
    return true;
  } catch (error) {
    say(error.name === "InvalidStateError" ? noSession : failure(error), true);
    return false;
  }
}

async function playFile(file) {
  if (!file) return;
  say(`Reading “${file.name}”…`);
  if (!(await speak(file, () => soundFileMessage(file.name)))) return;
  say(`Speaking “${file.name}”. ${uploadNote(file.size, page.uploadBytes)}`);
  page.done = { sound: file.name };
  showPrograms();
  keepForFilm(file, file.name.replace(/\.[^.]*$/, ""));
}

$("file").addEventListener("change", () => {
  playFile($("file").files[0]);
  $("file").value = ""; // so that the same one may be chosen again
});

$("say-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("say").disabled = true;
  await speakText(text);
  $("say").disabled = false;
  $("text").select();
});

async function speakText(text) {
  if (await speak(text, (error) => `The text could not be spoken: ${error.message}`)) {
    say(welcome);
    page.done = { text };
    showPrograms();
  }
}

/** The same sound as an MP4, made by the server as fast as it can and then downloaded. */
async function saveFilm({ sound, name }) {
  const label = $("film").querySelector("span");
  const made = await fetched(`v1/renders?avatar=${encodeURIComponent(avatar.getAttribute("avatar"))}`, {
    method: "POST", body: sound,
  });
  let job = await made.json();
  if (!made.ok) throw new Error(job.message);
  while (job.state === "queued" || job.state === "running") {
    const share = Number(job.totalFrames) ? Number(job.frames) / Number(job.totalFrames) : 0;
    label.textContent = `Film: ${percent(share)}`;
    await new Promise((resolve) => setTimeout(resolve, 400));
    job = await (await fetched(`v1/renders/${job.id}`)).json();
  }
  if (job.state !== "done") throw new Error(job.error || job.message || job.state);
  const film = await (await fetched(`v1/renders/${job.id}/file`)).blob();
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(film), download: `${name}.mp4`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  fetched(`v1/renders/${job.id}`, { method: "DELETE" }).catch(() => {});
  return film.size;
}

$("film").addEventListener("click", async () => {
  $("film").disabled = true;
  try {
    const bytes = await saveFilm(page.film);
    say(`The film is among your downloads: ${(bytes / 1e6).toFixed(1)} MB.`);
  } catch (error) {
    say(`The film could not be made: ${error.message}`, true);
  }
  $("film").disabled = false;
  $("film").querySelector("span").textContent = "Save as a film";
});

// What the link asks for is spoken once the person presses Start: browsers give no sound before.
$("start").addEventListener("click", async () => {
  page.linked = null;
  showNotice(null);
  $("file").focus();
  if (link.text) {
    $("text").value = link.text;
    await speakText(link.text);
    return;
  }
  try {
    await playFile(await soundOf(link.audio));
  } catch (error) {
    say(`The sound of this link could not be had: ${error.message}.`, true);
  }
});

async function offerText() {
  const answer = await fetched("v1/say").catch(() => null);
  const { available = false, textBytes } = answer?.ok ? await answer.json() : {};
  $("say-form").hidden = !available;
  $("say-off").hidden = available || !answer?.ok;
  if (available) $("text").maxLength = textBytes / 4; // of UTF-8: at most 4 bytes a letter
}

let inside = 0;
addEventListener("dragenter", (event) => {
  event.preventDefault();
  document.body.classList.toggle("dropping", ++inside > 0);
});
addEventListener("dragleave", () => {
  document.body.classList.toggle("dropping", --inside > 0);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("dropping");
  avatar.resume();
  playFile(event.dataTransfer.files[0]);
});

function showMicrophone(on) {
  $("microphone").setAttribute("aria-pressed", String(on));
  $("microphone").querySelector("span").textContent = on ? "Listening, press to end" : "Speak yourself";
}

$("microphone").addEventListener("click", async () => {
  if ($("microphone").getAttribute("aria-pressed") === "true") {
    avatar.endListening();
    showMicrophone(false);
    say(welcome);
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 },
    });
    if (!(await speak(stream, microphoneMessage))) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    showMicrophone(true);
    say("The avatar says what you say, a moment later. Headphones keep it from hearing itself.");
  } catch (error) {
    say(microphoneMessage(error), true);
  }
});

$("stop").addEventListener("click", () => {
  avatar.stop();
  page.said = 0;
  showMicrophone(false);
  say(welcome);
  showState();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("stop").disabled) $("stop").click();
});

$("volume").addEventListener("input", () => {
  avatar.volume = Number($("volume").value);
});

// ---- recording it

const server = new URL(".", document.baseURI);
const recording = new RecordControls({
  button: $("record"), note: $("recorded"), text: $("recorded-text"), link: $("recorded-file"),
  fetched,
  ticket: () => {
    const token = avatar.getAttribute("token");
    return token ? sessionToken(server, token) : "";
  },
});

// ---- which avatars there are

function fetched(path, options = {}) {
  const headers = headersOf(avatar.getAttribute("token"));
  return fetch(new URL(path, server), { ...options, headers });
}

async function listAvatars() {
  const answer = await fetched("v1/avatars").catch(() => null);
  if (!answer?.ok) return null;
  return (await answer.json()).avatars;
}

/** What was done last, as lines for a program. */
function showPrograms() {
  const lines = programLines({
    base: server.href, avatar: avatar.getAttribute("avatar"), token: avatar.hasAttribute("token"),
    sound: page.done.sound ?? null, text: page.done.text ?? null,
  });
  for (const [name, line] of Object.entries(lines)) $(`program-${name}`).textContent = line;
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  button.addEventListener("click", async () => {
    const { textContent } = $(button.dataset.copies);
    const copied = await navigator.clipboard?.writeText(textContent).then(() => true, () => false);
    if (!copied) getSelection().selectAllChildren($(button.dataset.copies));
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

function choose(name) {
  avatar.setAttribute("avatar", name);
  page.opened = null;
  recording.setSession("");
  setStatus("wait", "Connecting…");
  page.done = {};
  showPrograms();
}

async function pictureOf(name) {
  const answer = await fetched(`v1/avatars/${encodeURIComponent(name)}/picture.jpg`).catch(() => null);
  return answer?.ok ? URL.createObjectURL(await answer.blob()) : null;
}

function card({ name, title, fps, width, height, problem }, chosen) {
  const item = document.createElement("div");
  item.className = "card";
  const input = Object.assign(document.createElement("input"), {
    type: "radio", name: "avatar", className: "unseen", id: `avatar-${name}`, value: name,
    checked: name === chosen, disabled: Boolean(problem),
  });
  const label = document.createElement("label");
  label.htmlFor = input.id;
  const blank = Object.assign(document.createElement("span"), { className: "blank" });
  const strong = Object.assign(document.createElement("strong"), { textContent: title || name });
  const rate = fps ? Math.round((100 * fps.num) / fps.den) / 100 : 0;
  const small = Object.assign(document.createElement("small"), {
    textContent: problem || `${width} × ${height}, ${rate}/s`,
  });
  strong.title = strong.textContent;
  label.append(blank, strong, small);
  item.append(input, label);
  input.addEventListener("change", () => choose(name));
  pictureOf(name).then((source) => {
    if (source) blank.replaceWith(Object.assign(new Image(), { src: source, alt: "" }));
  });
  return item;
}

/** Begins with the one that is wanted, else with a good one. */
async function showAvatars() {
  const access = await accessOf(server, avatar.getAttribute("token"));
  const avatars = access?.granted ? await listAvatars() : null;
  page.listed = Boolean(avatars);
  if (!avatars) {
    // The session says why, and tries again by itself; an avatar of some name makes it ask.
    if (!avatar.getAttribute("avatar")) choose("demo");
    return;
  }
  offerText();
  readInfo();
  const good = avatars.filter(({ problem }) => !problem);
  const wanted = avatar.getAttribute("avatar");
  const chosen = good.find(({ name }) => name === wanted) ?? good.find(({ loaded }) => loaded) ?? good[0];
  $("avatars").hidden = avatars.length === 0;
  $("cards").replaceChildren(...avatars.map((one) => card(one, chosen?.name)));
  if (chosen && chosen.name !== wanted) choose(chosen.name);
  if (!chosen) {
    setStatus("failed", "No avatar");
    showNotice({ title: "There is no avatar yet", text: "lipcast avatar --help shows how to add one; then load this page again." });
  }
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  keptToken.keep(token);
  avatar.setAttribute("token", token);
  showNotice(null);
  setStatus("wait", "Connecting…");
  showAvatars();
});

// ---- figures

async function readInfo() {
  const answer = await fetched("v1/info").catch(() => null);
  const info = answer?.ok ? await answer.json() : {};
  page.capacity = info.capacity ?? null;
  page.uploadBytes = Number(info.uploadBytes ?? page.uploadBytes);
}

function readFigures() {
  if (!document.hidden && $("figures").open) readInfo();
}
setInterval(readFigures, 2000);
$("figures").addEventListener("toggle", readFigures);

const percent = (share) => `${Math.round(100 * (share ?? 0))} %`;
new Figures({
  line: $("figures-line"), plots: $("plots"), facts: $("facts"), details: $("figures"),
  read: () => avatar.figures,
  notes: () => ({
    pictures: picturesNote[avatar.pictures] ?? "",
    rows: {
      Pictures: picturesNote[avatar.pictures] ?? "not yet",
      Sound: soundNote(avatar),
      "Networks run on": page.opened?.provider ?? "not yet",
      ...(page.capacity && {
        "Live sessions": String(page.capacity.sessions),
        "Server load, headroom": `${percent(page.capacity.load)}, ${percent(page.capacity.headroom)}`,
      }),
    },
  }),
});

// ---- go

const token = keptToken.read();
if (token) avatar.setAttribute("token", token);
if (link.problem) say(link.problem, true);
if (link.wanted) avatar.setAttribute("pictures", link.wanted);
if (link.avatar) choose(link.avatar);
showAvatars();
