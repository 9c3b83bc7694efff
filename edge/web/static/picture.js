// The live picture: the next one is asked for when the last one is on the screen, so that a slow viewer sees
// fewer pictures, never old ones, and a hidden or paused page costs the device nothing.

const canvas = document.getElementById("picture");
const pause = document.getElementById("pause");
const pen = canvas.getContext("2d");

let number = 0;
let changed = () => {};

const paused = () => pause.getAttribute("aria-pressed") === "true";

pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!paused()));
  changed();
});
document.addEventListener("visibilitychange", () => changed());

async function next() {
  const answer = await fetch(`frame.jpg?after=${number}`);
  if (answer.status === 204) return; // nothing new for some seconds
  if (!answer.ok) throw new Error(`frame.jpg: ${answer.status}`);
  const bitmap = await createImageBitmap(await answer.blob());
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  number = Number(answer.headers.get("X-Frame"));
  canvas.dataset.frame = number;
}

// Shows pictures for as long as wanted() says so; ask again by calling the function that it returns.
export async function watch(wanted) {
  for (;;) {
    if (paused() || document.hidden || !wanted()) {
      await new Promise((resolve) => { changed = resolve; });
      continue;
    }
    try {
      await next();
      await new Promise(requestAnimationFrame);
    } catch {
      number = 0; // the program may have been started anew, and counts from 1 again
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

export function resume() {
  changed();
}
