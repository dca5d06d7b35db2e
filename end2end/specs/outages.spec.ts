import { BROKEN_LINK } from "../support/console.ts";
import { control } from "../support/control.ts";
import { badge, countdown, expect, needsControl, settled, stories, story, test } from "../support/fixtures.ts";
import { NOTICED, SOON, moments, noticed, now, recovery, watch } from "../support/moments.ts";
import { mutations, watchMutations } from "../support/mutations.ts";

/** The front page's stories, as one text. */
const STORIES = ".stories";

test.describe("our server goes away", () => {
  needsControl();

  test.afterEach(async () => {
    if (control.isThere) await control.startServer();
  });

  for (const signal of ["TERM", "KILL"] as const) {
    test(`an open page says so, keeps its rows, and is right soon after it is back: SIG${signal}`, async ({
      page,
      directus,
      complaints,
    }) => {
      complaints.allow(BROKEN_LINK);
      const [stays, post] = [await directus.createPost(), await directus.createPost()];
      await page.goto("/");
      await settled(page);
      await watch(page, STORIES);
      const since = await now(page);
      await control.stopServer(signal);
      const stopped = await now(page);
      await expect(badge(page)).toContainText("Reconnecting");
      expect(await noticed(page, since, `server, SIG${signal}`)).toBeLessThanOrEqual(stopped - since + NOTICED);
      const missed = await directus.createPost();
      await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
      await expect(story(page, post.title)).toBeVisible();

      const back = await now(page);
      await control.startServer();
      await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
      await expect(story(page, missed.title)).toBeVisible();
      await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
      const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
      expect(await recovery(page, back, isRight, `server, SIG${signal}`)).toBeLessThanOrEqual(SOON);
      const times = (await moments(page)).map(({ text }) => text.split(stays.title).length - 1);
      expect(new Set(times), "no blank, and no double").toEqual(new Set([1]));
      const live = await directus.createPost();
      await expect(story(page, live.title)).toBeVisible();
    });
  }
});

test.describe("Directus goes away", () => {
  needsControl();

  test.afterEach(async () => {
    if (control.isThere) await control.start();
  });

  for (const signal of ["TERM", "KILL"] as const) {
    test(`the page says so, keeps its rows, and recovers with what it missed: SIG${signal}`, async ({ page, directus, complaints }) => {
      complaints.allow(BROKEN_LINK);
      const post = await directus.createPost();
      await page.goto("/");
      await settled(page);
      await watch(page, STORIES);
      const since = await now(page);
      await control.stop(signal);
      // It ends after it has let go of its sockets.
      const stopped = await now(page);
      await expect(badge(page)).toContainText("Reconnecting");
      expect(await noticed(page, since, `SIG${signal}`)).toBeLessThanOrEqual(stopped - since + NOTICED);
      await expect(countdown(page)).toContainText(/in \d+ s/);
      await expect(page.getByText("Connection lost.")).toBeVisible();
      await expect(story(page, post.title)).toBeVisible();

      await control.start();
      const missed = await directus.createPost();
      await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
      const written = await now(page);
      await page.getByRole("button", { name: "Try now" }).click({ timeout: 2_000 }).catch(() => {
        // The page was quicker.
      });
      await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
      await expect(story(page, missed.title)).toBeVisible();
      await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
      await expect(page.getByText("Connection lost.")).toHaveCount(0);
      const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
      expect(await recovery(page, stopped, isRight, `SIG${signal}`, written)).toBeLessThanOrEqual(SOON);
      expect((await moments(page)).every(({ text }) => text.includes(post.title)), "no blank").toBe(true);
      const live = await directus.createPost();
      await expect(story(page, live.title)).toBeVisible();
    });
  }

  test("the next try is counted down, and a screen reader is told of the state only", async ({ page, complaints }) => {
    complaints.allow(BROKEN_LINK);
    await page.goto("/");
    await settled(page);
    await expect(countdown(page)).toHaveText("");
    await control.stop("TERM");
    await expect(badge(page)).toContainText("Reconnecting");
    await watchMutations(badge(page));
    const seen: number[] = [];
    // The first waits are shorter than a second.
    const fell = async () => {
      const seconds = Number(/in (\d+) s/.exec((await countdown(page).textContent()) ?? "")?.[1] ?? 0);
      if (seconds !== seen.at(-1)) seen.push(seconds);
      return seen.some((value, at) => value > 0 && seen[at - 1] === value + 1);
    };
    await expect.poll(fell, { intervals: [100], timeout: 40_000 }).toBe(true);
    expect(await mutations(page), "what is announced").toEqual([]);
  });

  test("a page that is opened meanwhile is served, says so, and heals by itself", async ({ page, directus, complaints }) => {
    complaints.allow(BROKEN_LINK);
    const post = await directus.createPost();
    await control.stop("TERM");
    const response = await page.goto("/");
    expect(response?.ok()).toBe(true);
    await expect(badge(page)).toContainText("Reconnecting");
    await control.start();
    await expect(story(page, post.title)).toBeVisible({ timeout: 40_000 });
    // The rows may be read before the socket's next try, which is up to 30 s away.
    await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
  });
});

test("offline and back: what was missed is there", async ({ page, context, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  await watch(page, STORIES);
  const since = await now(page);
  await context.setOffline(true);
  // Noticed by the page, not only by the browser: the socket looks open for long.
  await expect(badge(page)).toContainText("Reconnecting", { timeout: 20_000 });
  // The browser has to be told first.
  expect(await noticed(page, since, "offline")).toBeLessThanOrEqual(NOTICED + 500);
  const missed = await directus.createPost();
  await directus.update("posts", post.id, { title: `${post.title}, meanwhile` });
  await expect(stories(page)).toBeVisible();
  const back = await now(page);
  await context.setOffline(false);
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, `${post.title}, meanwhile`)).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  const isRight = (text: string) => text.includes(missed.title) && text.includes(`${post.title}, meanwhile`);
  expect(await recovery(page, back, isRight, "offline")).toBeLessThanOrEqual(SOON);
  expect((await moments(page)).every(({ text }) => text.includes(post.title)), "no blank").toBe(true);
});
