import { type Page, test } from "@playwright/test";

/** What a page showed from a moment on: how its connection was said to be, and the text of what is watched. */
export type Moment = { at: number; status: string; text: string };

/** By then the status says that a link is lost. */
export const NOTICED = 5_000;
/** How soon a page is right again once its link is. */
export const SOON = 2_000;

/** The page itself writes down what it shows, and when: how fast the test looks does not count. */
export async function watch(page: Page, selector: string) {
  await page.evaluate((selector) => {
    const look = () => ({
      at: performance.now(),
      status: document.querySelector(".badge")?.getAttribute("data-status") ?? "",
      text: document.querySelector(selector)?.textContent ?? "",
    });
    const moments = [look()];
    const note = () => {
      const [now, last] = [look(), moments.at(-1)];
      if (now.status !== last?.status || now.text !== last.text) moments.push(now);
    };
    const everything = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(note).observe(document.body, everything);
    Object.assign(window, { moments });
  }, selector);
}

export const moments = (page: Page) => page.evaluate(() => (window as unknown as { moments: Moment[] }).moments);
export const now = (page: Page) => page.evaluate(() => performance.now());

const note = (description: string) => test.info().annotations.push({ type: "link", description });

/**
 * How long after the first socket that opened since then the page was right; or after it was written, where that came later.
 * It may have been right before its socket opened.
 */
export async function recovery(page: Page, since: number, isRight: (text: string) => boolean, what: string, written = since) {
  const { right, connected } = await firsts(page, since, isRight);
  const took = Math.round(right - Math.max(connected, written));
  note(`${what}: right ${took} ms after the socket opened`);
  return took;
}

/** The same where the socket may have been there all the time: then from that moment on. */
export async function recoveryWithOrWithoutSocket(page: Page, since: number, isRight: (text: string) => boolean, what: string) {
  const { right, connected } = await firsts(page, since, isRight);
  const took = Math.round(right - (connected || since));
  note(`${what}: right ${took} ms after ${connected ? "the socket opened" : "it was seen"}`);
  return took;
}

/** When the page was right first, and when its first socket after this moment opened: NaN for never. */
async function firsts(page: Page, since: number, isRight: (text: string) => boolean) {
  const all = await moments(page);
  const right = all.find(({ text }) => isRight(text))?.at ?? NaN;
  const opens = ({ at, status }: Moment, place: number) => at >= since && status === "connected" && all[place - 1]?.status !== status;
  return { right, connected: all.find(opens)?.at ?? NaN };
}

/** How long after this moment the page first said that its link is lost. */
export async function noticed(page: Page, since: number, what: string) {
  const lost = (await moments(page)).find(({ at, status }) => at >= since && status === "reconnecting");
  const took = Math.round((lost?.at ?? NaN) - since);
  note(`${what}: noticed after ${took} ms`);
  return took;
}
