// The seven classes, in the order of the scores, and their colours as the style sheet has them now.

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
