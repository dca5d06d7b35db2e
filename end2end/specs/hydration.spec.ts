import { badge, expect, settled, stories, story, test } from "../support/fixtures.ts";
import { holdScripts, mutations, watchMutations, watchShifts } from "../support/mutations.ts";
import { addressOf, pages } from "../support/pages.ts";

test("hydration changes nothing in the list, and neither does the catch-up read", async ({ page, directus }) => {
  const post = await directus.createPost();
  const scripts = await holdScripts(page);
  await page.goto("/", { waitUntil: "commit" });
  await expect(story(page, post.title)).toBeVisible();
  await watchMutations(stories(page));
  scripts.release();
  await settled(page);
  expect(await mutations(page)).toEqual([]);
});

/** The feed's events come when they come, the newest first: that is no hydration. */
const ARRIVALS = ".events";
/** Controls are enabled, and leptos_router's `<Form>` writes its own attributes anew. Whatever else is there stays as it was sent. */
const EXPECTED = ["disabled", "draggable", "action", "method"];

for (const subject of pages) {
  test(`hydration moves nothing and touches nothing on the page "${subject.name}"`, async ({ page, context, directus, logIn }) => {
    if (subject.user) await logIn(context, subject.user);
    const shifts = await watchShifts(page, ARRIVALS);
    const scripts = await holdScripts(page);
    await page.goto(await addressOf(subject, directus), { waitUntil: "commit" });
    await expect(page.getByRole("heading", { level: 1, name: subject.heading })).toBeVisible();
    // Without the stylesheet it is somewhere else, and nobody sees it.
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    const frame = page.getByRole("paragraph").filter({ has: badge(page) });
    const before = await frame.boundingBox();
    await expect(badge(page)).toContainText("Standing by");
    await watchMutations(page.getByRole("main"), `${ARRIVALS}, [role=status]`);
    const released = await page.evaluate(() => performance.now());
    scripts.release();
    if (subject.needsNoSocket) {
      await expect(page.getByRole("main").getByRole("button").first()).toBeEnabled();
      await page.waitForLoadState("networkidle");
    } else {
      await settled(page);
    }
    expect(await frame.boundingBox(), "the badge").toEqual(before);
    const moved = await shifts();
    expect(moved.filter(({ at }) => at >= released), "what moved").toEqual([]);
    // The header may be painted before the rest of it has come: nobody sees that.
    const whileItCame = moved.reduce((sum, { value }) => sum + value, 0);
    expect(whileItCame, JSON.stringify(moved)).toBeLessThan(0.001);
    const touched = (await mutations(page)).filter(({ attribute }) => !EXPECTED.includes(attribute ?? ""));
    expect(touched, "what changed in the page's content").toEqual([]);
  });
}

test("rows are asked for once, and only when every subscription is acknowledged", async ({ page, wire, directus }) => {
  await directus.createPost();
  await page.goto("/");
  await settled(page);
  const reads = { posts: wire.rowReads("posts"), masthead: wire.rowReads("masthead") };
  expect(reads.posts, "reads of posts").toHaveLength(1);
  expect(reads.masthead, "reads of the masthead").toHaveLength(1);
  expect(wire.subscribes.length).toBeGreaterThan(0);
  expect(wire.acknowledgements.length).toBe(wire.subscribes.length);
  for (const collection of ["posts", "masthead"] as const) {
    const last = Math.max(...wire.acknowledgementsOf(collection));
    expect(reads[collection][0], `the read of ${collection}, after its subscriptions`).toBeGreaterThan(last);
  }
  expect(wire.opened, "sockets").toBe(1);
});

test("a story and its comments share one socket, and each is read once", async ({ page, wire, directus }) => {
  const post = await directus.createPost();
  await directus.create("comments", { post: post.id, author_name: "A reader", text: "First." });
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  await expect(page.getByText("First.")).toBeVisible();
  expect(wire.rowReads("posts")).toHaveLength(1);
  expect(wire.rowReads("comments")).toHaveLength(1);
  expect(wire.opened).toBe(1);
});

test("components that ask the same have their rows in the HTML once, and share one read", async ({ page, wire, directus }) => {
  const post = await directus.createPost();
  const first = `Said once ${crypto.randomUUID()}.`;
  await directus.create("comments", { post: post.id, author_name: "A reader", text: first });
  const html = await (await page.request.get(`/posts/${post.id}`)).text();
  const scripts = [...html.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(([, script]) => script).join("");
  expect(html.split(first).length - 1, "once for readers, once for the scripts").toBe(2);
  expect(scripts.split(first).length - 1, "once for the scripts").toBe(1);

  const held = await holdScripts(page);
  await page.goto(`/posts/${post.id}`, { waitUntil: "commit" });
  const count = page.getByRole("link", { name: /^\d+ comments?$/ });
  await expect(count).toHaveText("1 comment");
  await expect(page.getByText(first)).toBeVisible();
  await watchMutations(page.getByRole("main"), "[role=status]");
  const caughtUp = page.waitForResponse(/\/directus\/items\/comments\?/);
  held.release();
  await (await caughtUp).finished();
  await settled(page);
  const touched = (await mutations(page)).filter(({ attribute }) => !EXPECTED.includes(attribute ?? ""));
  expect(touched, "what hydration and the catch-up read changed").toEqual([]);
  expect(wire.acknowledgementsOf("comments"), "subscriptions").toHaveLength(3);
  expect(wire.rowReads("comments"), "reads of comments").toHaveLength(1);
  expect(wire.rowReads("comments")[0]).toBeGreaterThan(Math.max(...wire.acknowledgementsOf("comments")));

  const second = `Said later ${crypto.randomUUID()}.`;
  await directus.create("comments", { post: post.id, author_name: "A reader", text: second });
  await expect(page.getByText(second)).toBeVisible();
  await expect(count).toHaveText("2 comments");
  expect(wire.rowReads("comments"), "one more read for both").toHaveLength(2);
});

test("what was written between the HTML and the socket is there after the catch-up read", async ({ page, directus }) => {
  const scripts = await holdScripts(page);
  const early = await directus.createPost();
  await page.goto("/", { waitUntil: "commit" });
  await expect(story(page, early.title)).toBeVisible();
  const missed = await directus.createPost();
  await directus.update("posts", early.id, { title: `${early.title}, changed` });
  scripts.release();
  await expect(story(page, missed.title)).toBeVisible();
  await expect(story(page, `${early.title}, changed`)).toBeVisible();
});
