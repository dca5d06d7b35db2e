import type { Page } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { badge, expect, story, test } from "../support/fixtures.ts";

/** From here on the page's time goes by only where the test turns it. */
async function stopTheClock(page: Page) {
  // A little ahead: the page's time goes on until it is stopped.
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 10_000));
}

/** The server has answered something that was asked after all that the page has asked until now. */
const roundTrip = (page: Page) => page.evaluate(async () => void (await fetch("/directus-ws")));

test("where the upgrade is blocked on the way the list is polled and says so, and is live again when it is let through", async ({
  page,
  gateway,
  wire,
  directus,
  complaints,
}) => {
  complaints.allow(BROKEN_LINK);
  const notice = page.getByText("the list is asked for again every half minute");
  await page.clock.install();
  await page.goto(gateway.url);
  await expect(badge(page)).toContainText("Reconnecting");
  await expect(page.getByText("something on the way blocks it")).toBeVisible();
  await stopTheClock(page);
  // A read that began by then would be given up in the leap that follows.
  await roundTrip(page);

  const post = await directus.createPost();
  await page.clock.fastForward(31_000);
  await expect(async () => {
    // Should it have been given up all the same, it is made again soon.
    await page.clock.runFor(100);
    await expect(story(page, post.title)).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 10_000 });
  await expect(notice).toBeVisible();

  await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
  await roundTrip(page);
  const reads = wire.rowReads("posts").length;
  // Up to a quarter less than half a minute, each time another one.
  await page.clock.fastForward(21_000);
  await roundTrip(page);
  expect(wire.rowReads("posts").length, "reads before the interval is over").toBe(reads);
  await expect(story(page, post.title)).toBeVisible();
  await page.clock.fastForward(9_100);
  await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
  expect(wire.rowReads("posts").length, "reads when it is").toBe(reads + 1);
  await expect(badge(page)).toContainText("Reconnecting");
  await expect(notice).toBeVisible();

  gateway.letUpgrade();
  await page.clock.resume();
  // The next try is up to 30 s away.
  await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
  await expect(notice).toHaveCount(0);
  await stopTheClock(page);
  await directus.update("posts", post.id, { title: `${post.title}, live` });
  await expect(story(page, `${post.title}, live`)).toBeVisible();
});
