// The live picture: the next one is requested when the last one is on the screen, so that a slow viewer sees
// fewer pictures, never old ones, and a hidden or paused page costs the device nothing.

const RETRY_INTERVAL = 2000; // ms

const canvas = document.getElementById("picture");
const pause = document.getElementById("pause");
const context = canvas.getContext("2d");

let number = 0;
let wake = () => {};

const paused = () => pause.getAttribute("aria-pressed") === "true";

pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!paused()));
  wake();
});
document.addEventListener("visibilitychange", () => wake());

async function showNext() {
  const answer = await fetch(`frame.jpg?after=${number}`);
  if (answer.status === 204) return; // nothing new for some seconds
  if (!answer.ok) throw new Error(`frame.jpg: ${answer.status}`);
  const bitmap = await createImageBitmap(await answer.blob());
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  number = Number(answer.headers.get("X-Frame"));
  canvas.dataset.frame = number;
}

// Shows pictures for as long as connected() is true; call wakePictures() when it becomes true again.
export async function showPictures(connected) {
  for (;;) {
    if (paused() || document.hidden || !connected()) {
      await new Promise((resolve) => { wake = resolve; });
      continue;
    }
    try {
      await showNext();
      await new Promise(requestAnimationFrame);
    } catch {
      number = 0; // the program may have been restarted, and counts from 1 again
      await new Promise((resolve) => setTimeout(resolve, RETRY_INTERVAL));
    }
  }
}

export function wakePictures() {
  wake();
}
