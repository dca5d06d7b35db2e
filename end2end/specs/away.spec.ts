import { type LaunchOptions, type Page, chromium } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { balance, watchBegun } from "../support/cost.ts";
import type { DirectusWriter } from "../support/directus.ts";
import { badge, expect, needsControl, settled, story, test } from "../support/fixtures.ts";
import {
  NOTICED,
  SOON,
  expectNoWayBack,
  expectThereOnce,
  noticed,
  now,
  reconnected,
  recovery,
  recoveryWithOrWithoutSocket,
  watch,
} from "../support/moments.ts";
import { setVisibility } from "../support/visibility.ts";
import { Wire } from "../support/wire.ts";

/** The front page with two posts, and its balance; what it shows of them is written down from now on. */
async function opened(page: Page, wire: Wire, directus: DirectusWriter) {
  const begun = await watchBegun(page);
  const [stays, post] = [await directus.createPost(), await directus.createPost()];
  // Somewhere to come forward from.
  await page.goto("/login");
  await page.goto("/");
  await settled(page);
  const isAsBefore = await balance(page, wire, begun);
  await expect(story(page, stays.title)).toBeVisible();
  await watch(page, "main");
  return { stays, post, isAsBefore };
}

/** The page's scripts are told how often it came out of the cache, and when last. */
async function watchCache(page: Page) {
  await page.evaluate(() => {
    let cached = 0;
    addEventListener("pageshow", ({ persisted }) => {
      cached += persisted ? 1 : 0;
      Object.assign(window, { cached, seenAgain: performance.now() });
    });
  });
  type Told = { cached?: number; seenAgain: number };
  return {
    cached: () => page.evaluate(() => (window as unknown as Told).cached ?? 0),
    seen: () => page.evaluate(() => (window as unknown as Told).seenAgain),
  };
}

/** Playwright switches the cache off. */
const withCache = (options: LaunchOptions) =>
  chromium.launch({ ...options, ignoreDefaultArgs: ["--disable-back-forward-cache"] });

test("a page that comes back from the back/forward cache is the same page, with what it missed", async ({
  baseURL,
  directus,
  launchOptions,
}) => {
  const browser = await withCache(launchOptions);
  try {
    const page = await browser.newPage({ baseURL });
    const wire = new Wire(page);
    const { stays, post, isAsBefore } = await opened(page, wire, directus);
    const sockets = wire.opened;
    const { cached, seen } = await watchCache(page);
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
    expect(await reconnected(page, await seen(), "back from the cache")).toBeLessThanOrEqual(NOTICED);
    const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
    expect(await recovery(page, await seen(), isRight, "back from the cache")).toBeLessThanOrEqual(SOON);
    // And when somebody comes forward to it.
    await page.goBack({ waitUntil: "commit" });
    const next = await directus.createPost();
    await page.goForward({ waitUntil: "commit" });
    await expect.poll(cached).toBe(2);
    await expect(story(page, next.title)).toBeVisible();
    const isRightAgain = (text: string) => text.includes(next.title);
    expect(await reconnected(page, await seen(), "forward from the cache")).toBeLessThanOrEqual(NOTICED);
    expect(await recovery(page, await seen(), isRightAgain, "forward from the cache")).toBeLessThanOrEqual(SOON);
    await expectThereOnce(page, stays.title);
    await expectNoWayBack(page, isRight);
    await expectNoWayBack(page, isRightAgain);
    await isAsBefore("back and forward", { unheard: 2 });
  } finally {
    await browser.close();
  }
});

test.describe("while the page was in the back/forward cache its link went away", () => {
  needsControl();

  test("it says so within 5 s, keeps its rows, and is right soon after the next socket", async ({ link, directus, launchOptions }) => {
    const browser = await withCache(launchOptions);
    try {
      const page = await browser.newPage({ baseURL: link.url });
      const { stays, post, isAsBefore } = await opened(page, new Wire(page), directus);
      const { cached, seen } = await watchCache(page);
      await page.goto("about:blank");
      await link.refuse();
      await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
      await page.goBack({ waitUntil: "commit" });
      await expect.poll(cached).toBe(1);
      await expect(badge(page)).toContainText("Reconnecting");
      expect(await noticed(page, await seen(), "the cache, and a link that is gone")).toBeLessThanOrEqual(NOTICED);

      const healed = await now(page);
      await link.pass();
      const isRight = (text: string) => text.includes(`${post.title}, meanwhile`);
      await expect(story(page, `${post.title}, meanwhile`)).toBeVisible({ timeout: 40_000 });
      await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
      expect(await recovery(page, healed, isRight, "the cache, and a link that is back")).toBeLessThanOrEqual(SOON);
      await expectThereOnce(page, stays.title);
      await expectThereOnce(page, post.title);
      await expectNoWayBack(page, isRight);
      await isAsBefore("the cache, and a link that is back", { unheard: 1 });
    } finally {
      await browser.close();
    }
  });
});

test("a tab that was hidden for hours is right as soon as it is seen, without a new page", async ({
  page,
  wire,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const { stays, post, isAsBefore } = await opened(page, wire, directus);
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
  await expectThereOnce(page, stays.title);
  const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
  expect(await recoveryWithOrWithoutSocket(page, seen, isRight, "hidden for hours")).toBeLessThanOrEqual(SOON);
  await expectNoWayBack(page, isRight);
  await isAsBefore("hidden for hours");
});

test("a machine that slept without a network is right when it wakes", async ({
  page,
  wire,
  context,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const { stays, post, isAsBefore } = await opened(page, wire, directus);
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
  await expectThereOnce(page, stays.title);
  const isRight = (text: string) => text.includes(missed.title) && !text.includes(post.title);
  expect(await recovery(page, woke, isRight, "slept")).toBeLessThanOrEqual(SOON);
  await expectNoWayBack(page, isRight);
  await isAsBefore("slept");
});
