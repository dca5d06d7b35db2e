import { expect, type Page, test } from "@playwright/test";

/** What a page showed from a moment on: how its connection and its list were said to be, and the text of what is watched. */
export type Moment = { at: number; status: string; live: string; text: string };

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
      live: document.querySelector("[data-live]")?.getAttribute("data-live") ?? "",
      text: document.querySelector(selector)?.textContent ?? "",
    });
    const moments = [look()];
    const note = () => {
      const [now, last] = [look(), moments.at(-1)];
      if (now.status !== last?.status || now.live !== last.live || now.text !== last.text) moments.push(now);
    };
    const everything = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(note).observe(document.body, everything);
    Object.assign(window, { moments });
  }, selector);
}

export const moments = (page: Page) => page.evaluate(() => (window as unknown as { moments: Moment[] }).moments);
export const now = (page: Page) => page.evaluate(() => performance.now());

/** For the report. */
export const note = (description: string) => test.info().annotations.push({ type: "link", description });

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

/**
 * When the page was right first, and when it said first after this moment that its link is lost, and that a socket opened: NaN for
 * never.
 */
export async function firsts(page: Page, since: number, isRight: (text: string) => boolean) {
  const all = await moments(page);
  const right = all.find(({ text }) => isRight(text))?.at ?? NaN;
  const lost = all.find(({ at, status }) => at >= since && status === "reconnecting")?.at ?? NaN;
  const opens = ({ at, status }: Moment, place: number) => at >= since && status === "connected" && all[place - 1]?.status !== status;
  return { right, lost, connected: all.find(opens)?.at ?? NaN };
}

/** How long after this moment the page first said that its link is lost. */
export async function noticed(page: Page, since: number, what: string) {
  const { lost } = await firsts(page, since, () => false);
  const took = Math.round(lost - since);
  note(`${what}: noticed after ${took} ms`);
  return took;
}

/** From one moment to another one, the list never said that it is kept right. */
export async function expectNotLive(page: Page, from: number, to: number) {
  const said = (await moments(page)).filter(({ at }) => at >= from && at <= to).map(({ live }) => live);
  expect(said.length).toBeGreaterThan(0);
  expect(said, "what the list says of itself").not.toContain("live");
}

/** How long after this moment a socket of the page opened first. */
export async function reconnected(page: Page, since: number, what: string) {
  const { connected } = await firsts(page, since, () => false);
  const took = Math.round(connected - since);
  note(`${what}: a socket after ${took} ms`);
  return took;
}

/** This text was there all the time, once. */
export async function expectThereOnce(page: Page, text: string) {
  const times = (await moments(page)).map((moment) => moment.text.split(text).length - 1);
  expect(new Set(times), "no blank, and no double").toEqual(new Set([1]));
}

/** Once this was so, it stayed so. */
export async function expectNoWayBack(page: Page, isRight: (text: string) => boolean) {
  const right = (await moments(page)).map(({ text }) => isRight(text));
  expect(right.includes(true)).toBe(true);
  expect(right.slice(right.indexOf(true)), "no old state after a newer one").not.toContain(false);
}
