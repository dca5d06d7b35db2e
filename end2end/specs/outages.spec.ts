import { BROKEN_LINK } from "../support/console.ts";
import { control } from "../support/control.ts";
import { balance, watchBegun } from "../support/cost.ts";
import { badge, countdown, expect, needsControl, settled, stories, story, test } from "../support/fixtures.ts";
import { NOTICED, SOON, expectNoWayBack, expectThereOnce, moments, noticed, now, recovery, watch } from "../support/moments.ts";
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
      wire,
      directus,
      complaints,
    }) => {
      complaints.allow(BROKEN_LINK);
      const begun = await watchBegun(page);
      const [stays, post] = [await directus.createPost(), await directus.createPost()];
      await page.goto("/");
      await settled(page);
      const isAsBefore = await balance(page, wire, begun);
      await watch(page, STORIES);
      const since = await now(page);
      await control.stopServer(signal);
      const stopped = await now(page);
      await expect(badge(page)).toContainText("Reconnecting");
      expect(await noticed(page, since, `server, SIG${signal}`)).toBeLessThanOrEqual((signal === "KILL" ? 0 : stopped - since) + NOTICED);
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
      const live = await directus.createPost();
      await expect(story(page, live.title)).toBeVisible();
      await expectThereOnce(page, stays.title);
      await expectThereOnce(page, post.title);
      await expectNoWayBack(page, isRight);
      await isAsBefore(`server, SIG${signal}`);
    });
  }
});

test.describe("Directus goes away", () => {
  needsControl();

  test.afterEach(async () => {
    if (control.isThere) await control.start();
  });

  for (const signal of ["TERM", "KILL"] as const) {
    test(`the page says so, keeps its rows, and recovers with what it missed: SIG${signal}`, async ({
      page,
      wire,
      directus,
      complaints,
    }) => {
      complaints.allow(BROKEN_LINK);
      const begun = await watchBegun(page);
      const post = await directus.createPost();
      await page.goto("/");
      await settled(page);
      const isAsBefore = await balance(page, wire, begun);
      await watch(page, STORIES);
      const since = await now(page);
      await control.stop(signal);
      // It ends after it has let go of its sockets.
      const stopped = await now(page);
      await expect(badge(page)).toContainText("Reconnecting");
      expect(await noticed(page, since, `SIG${signal}`)).toBeLessThanOrEqual((signal === "KILL" ? 0 : stopped - since) + NOTICED);
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
      const live = await directus.createPost();
      await expect(story(page, live.title)).toBeVisible();
      await expectThereOnce(page, post.title);
      await expectNoWayBack(page, isRight);
      await isAsBefore(`SIG${signal}`);
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

  test("a page that is opened meanwhile is served, says so, and is right soon after its first socket", async ({
    page,
    directus,
    complaints,
  }) => {
    complaints.allow(BROKEN_LINK);
    const post = await directus.createPost();
    await control.stop("TERM");
    const response = await page.goto("/");
    expect(response?.ok()).toBe(true);
    await watch(page, "main");
    await expect(badge(page)).toContainText("Reconnecting");
    expect(await noticed(page, 0, "opened meanwhile"), "from its first moment on").toBeLessThanOrEqual(NOTICED);
    await control.start();
    const back = await now(page);
    // The socket's next try may be up to 30 s away, and the rows may be read before it.
    await expect(badge(page)).toContainText("Connected", { timeout: 40_000 });
    await expect(story(page, post.title)).toBeVisible();
    const isThere = (text: string) => text.includes(post.title);
    expect(await recovery(page, back, isThere, "opened meanwhile")).toBeLessThanOrEqual(SOON);
    const title = `${post.title}, live`;
    await directus.update("posts", post.id, { title });
    await expect(story(page, title)).toBeVisible();
    const times = (await moments(page)).map(({ text }) => text.split(post.title).length - 1);
    expect(Math.max(...times), "no double").toBe(1);
    await expectNoWayBack(page, isThere);
    await expectNoWayBack(page, (text) => text.includes(title));
  });
});

test("offline and back: what was missed is there", async ({ page, wire, context, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const begun = await watchBegun(page);
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  const isAsBefore = await balance(page, wire, begun);
  await watch(page, STORIES);
  // The browser has to be told first.
  await page.evaluate(() => addEventListener("offline", () => Object.assign(window, { toldAt: performance.now() })));
  await context.setOffline(true);
  const toldAt = () => page.evaluate(() => (window as unknown as { toldAt?: number }).toldAt ?? 0);
  await expect.poll(toldAt).toBeGreaterThan(0);
  const since = await toldAt();
  // Noticed by the page, not only by the browser: the socket looks open for long.
  await expect(badge(page)).toContainText("Reconnecting", { timeout: 20_000 });
  expect(await noticed(page, since, "offline")).toBeLessThanOrEqual(NOTICED);
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
  await expectThereOnce(page, post.title);
  await expectNoWayBack(page, isRight);
  await isAsBefore("offline");
});
