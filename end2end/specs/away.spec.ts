import { chromium } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { badge, expect, settled, story, test } from "../support/fixtures.ts";
import { setVisibility } from "../support/visibility.ts";
import { Wire } from "../support/wire.ts";

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
    const post = await directus.createPost();
    await page.goto("/");
    await settled(page);
    await page.evaluate(() => {
      addEventListener("pageshow", ({ persisted }) => Object.assign(window, { wasCached: persisted }));
    });
    await page.goto("about:blank");
    const missed = await directus.createPost();
    await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
    await page.goBack({ waitUntil: "commit" });
    await expect.poll(() => page.evaluate(() => "wasCached" in window && window.wasCached)).toBe(true);
    await expect(story(page, missed.title)).toBeVisible();
    await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
    await expect(badge(page)).toContainText("Connected");
    // It is live, on one more socket than before.
    await directus.update("posts", missed.id, { title: `${missed.title}, corrected` });
    await expect(story(page, `${missed.title}, corrected`)).toBeVisible();
    expect(wire.opened).toBe(2);
  } finally {
    await browser.close();
  }
});

test("a tab that was hidden for hours is right as soon as it is seen, without a new page", async ({ page, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  await page.evaluate(() => Object.assign(window, { samePage: true }));
  await setVisibility(page, "hidden");
  await page.clock.fastForward("03:00:00");
  const missed = await directus.createPost();
  await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
  await setVisibility(page, "visible");
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  expect(await page.evaluate(() => "samePage" in window)).toBe(true);
});

test("a machine that slept without a network is right when it wakes", async ({ page, context, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  await page.clock.install();
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  await context.setOffline(true);
  const missed = await directus.createPost();
  await directus.delete("posts", post.id);
  // Timers do not run while it sleeps; those that were due run once.
  await page.clock.fastForward("08:00:00");
  await context.setOffline(false);
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, post.title)).toHaveCount(0);
  await expect(badge(page)).toContainText("Connected");
});
