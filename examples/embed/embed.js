// What a page does with <lipcast-avatar>: tell it what to speak, and hear what becomes of it.

const avatar = document.getElementById("avatar");
const state = document.getElementById("state");

function show(text) {
  state.textContent = text;
}

avatar.addEventListener("opened", () => show("Ready"));
avatar.addEventListener("started", () => show("Speaking"));
avatar.addEventListener("finished", ({ detail }) => show(detail.interrupted ? "Stopped" : "Done"));
avatar.addEventListener("failed", ({ detail }) => show(detail.message));

/** What cannot be spoken says why. */
async function speak(spoken) {
  try {
    await spoken;
  } catch (error) {
    show(error.message);
  }
}

document.getElementById("say").addEventListener("submit", (event) => {
  event.preventDefault();
  speak(avatar.say(document.getElementById("text").value));
});
document.getElementById("file").addEventListener("change", ({ target }) => {
  if (target.files.length > 0) speak(avatar.speak(target.files[0]));
});
document.getElementById("microphone").addEventListener("click", () => {
  speak(navigator.mediaDevices.getUserMedia({ audio: true }).then((stream) => avatar.speak(stream)));
});
document.getElementById("stop").addEventListener("click", () => avatar.stop());
