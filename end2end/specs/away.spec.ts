import { chromium, type Page } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { badge, expect, settled, story, test } from "../support/fixtures.ts";
import { SOON, moments, now, recovery, recoveryWithOrWithoutSocket, watch } from "../support/moments.ts";
import { setVisibility } from "../support/visibility.ts";
import { Wire } from "../support/wire.ts";

/** From now on what the page shows is written down; to be asked whether this row was there all the time, once. */
async function watched(page: Page, title: string) {
  await expect(story(page, title)).toBeVisible();
  await watch(page, "main");
  return async () => {
    const times = (await moments(page)).map(({ text }) => text.split(title).length - 1);
    expect(new Set(times), "no blank, and no double").toEqual(new Set([1]));
  };
}

test("a page that comes back from the back/forward cache is the same page, with what it missed", async ({
  baseURL,
  directus,
  launchOptions,
}) => {
  // Playwright switches the cache off.
  const browser = await chromium.launch({ ...launchOptions, ignoreDefaultArgs: ["--disable-back-forward-cache"] });
  try {
    const page = await browser.newPage({ baseURL });
    const wire = new Wire(page);
    const [stays, post] = [await directus.createPost(), await directus.createPost()];
    await page.goto("/login");
    await page.goto("/");
    await settled(page);
    const sockets = wire.opened;
    const isThereOnce = await watched(page, stays.title);
    await page.evaluate(() => {
      let cached = 0;
      addEventListener("pageshow", ({ persisted }) => {
        cached += persisted ? 1 : 0;
        Object.assign(window, { cached, seenAgain: performance.now() });
      });
    });
    const cached = () => page.evaluate(() => (window as unknown as { cached?: number }).cached ?? 0);
    await page.goto("about:blank");
    const missed = await directus.createPost();
    await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
    await page.goBack({ waitUntil: "commit" });
    await expect.poll(cached).toBe(1);
    await expect(story(page, missed.title)).toBeVisible();
    await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
    await expect(badge(page)).toContainText("Connected");
    // It is live, on one more socket than before.
    await directus.update("posts", missed.id, { title: `${missed.title}, corrected` });
    await expect(story(page, `${missed.title}, corrected`)).toBeVisible();
    expect(wire.opened).toBe(sockets + 1);
    const seen = () => page.evaluate(() => (window as unknown as { seenAgain: number }).seenAgain);
    const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
    expect(await recovery(page, await seen(), isRight, "back from the cache")).toBeLessThanOrEqual(SOON);
    // And when somebody comes forward to it.
    await page.goBack({ waitUntil: "commit" });
    const next = await directus.createPost();
    await page.goForward({ waitUntil: "commit" });
    await expect.poll(cached).toBe(2);
    await expect(story(page, next.title)).toBeVisible();
    const isRightAgain = (text: string) => text.includes(next.title);
    expect(await recovery(page, await seen(), isRightAgain, "forward from the cache")).toBeLessThanOrEqual(SOON);
    await isThereOnce();
  } finally {
    await browser.close();
  }
});

test("a tab that was hidden for hours is right as soon as it is seen, without a new page", async ({ page, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const [stays, post] = [await directus.createPost(), await directus.createPost()];
  await page.goto("/");
  await settled(page);
  const isThereOnce = await watched(page, stays.title);
  await page.evaluate(() => Object.assign(window, { samePage: true }));
  await setVisibility(page, "hidden");
  await page.clock.fastForward("03:00:00");
  const missed = await directus.createPost();
  await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
  const seen = await now(page);
  await setVisibility(page, "visible");
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  expect(await page.evaluate(() => "samePage" in window)).toBe(true);
  await isThereOnce();
  const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
  expect(await recoveryWithOrWithoutSocket(page, seen, isRight, "hidden for hours")).toBeLessThanOrEqual(SOON);
});

test("a machine that slept without a network is right when it wakes", async ({ page, context, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const [stays, post] = [await directus.createPost(), await directus.createPost()];
  await page.goto("/");
  await settled(page);
  const isThereOnce = await watched(page, stays.title);
  await context.setOffline(true);
  const missed = await directus.createPost();
  await directus.delete("posts", post.id);
  // Timers do not run while it sleeps; those that were due run once.
  await page.clock.fastForward("08:00:00");
  const woke = await now(page);
  await context.setOffline(false);
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, post.title)).toHaveCount(0);
  await expect(badge(page)).toContainText("Connected");
  await isThereOnce();
  const isRight = (text: string) => text.includes(missed.title) && !text.includes(post.title);
  expect(await recovery(page, woke, isRight, "slept")).toBeLessThanOrEqual(SOON);
});
