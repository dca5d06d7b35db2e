import { badge, expect, settled, stories, story, test } from "../support/fixtures.ts";
import { mutations, watchMutations } from "../support/mutations.ts";

// `wire` is asked for here so that it listens from the start.
test.beforeEach(async ({ page, wire: _, directus }) => {
  await directus.createPost();
  await page.goto("/");
  await settled(page);
});

test("a post that is created in Directus appears at the top", async ({ page, directus }) => {
  const post = await directus.createPost();
  await expect(stories(page).getByRole("heading").first()).toHaveText(post.title);
});

test("a post that is changed in Directus changes on the page", async ({ page, directus }) => {
  const post = await directus.createPost();
  await expect(story(page, post.title)).toBeVisible();
  await directus.update("posts", post.id, { title: `${post.title}, corrected` });
  await expect(story(page, `${post.title}, corrected`)).toBeVisible();
  await expect(story(page, post.title)).toHaveCount(0);
});

test("a post that is deleted in Directus leaves the page", async ({ page, directus }) => {
  const post = await directus.createPost();
  await expect(story(page, post.title)).toBeVisible();
  await directus.delete("posts", post.id);
  await expect(story(page, post.title)).toHaveCount(0);
});

test("a batch is created, changed and deleted as one", async ({ page, directus }) => {
  const titles = ["one", "two", "three", "four"].map((name) => `Batch ${name} ${crypto.randomUUID().slice(0, 8)}`);
  const posts = await directus.createMany(
    "posts",
    titles.map((title) => ({ title, status: "published" })),
  );
  for (const title of titles) await expect(story(page, title)).toBeVisible();
  const keys = posts.map((post) => post.id as number);
  await directus.updateMany("posts", keys, { body: "The whole batch was changed." });
  await expect(stories(page).getByText("The whole batch was changed.")).toHaveCount(4);
  await directus.deleteMany("posts", keys);
  for (const title of titles) await expect(story(page, title)).toHaveCount(0);
});

test("one changed row changes the texts of that row and nothing else", async ({ page, directus }) => {
  const post = await directus.createPost();
  await expect(story(page, post.title)).toBeVisible();
  await watchMutations(stories(page));
  await directus.update("posts", post.id, { title: `${post.title}, corrected` });
  await expect(story(page, `${post.title}, corrected`)).toBeVisible();
  await page.waitForLoadState("networkidle");
  const seen = await mutations(page);
  expect(seen.length).toBeGreaterThan(0);
  for (const mutation of seen) expect(mutation).toMatchObject({ type: "characterData", key: String(post.id) });
});

test("a post that is unpublished leaves, and one that is published enters", async ({ page, directus }) => {
  const leaving = await directus.createPost();
  const entering = await directus.createPost({ status: "draft" });
  await expect(story(page, leaving.title)).toBeVisible();
  await expect(story(page, entering.title)).toHaveCount(0);
  await directus.update("posts", leaving.id, { status: "draft" });
  await expect(story(page, leaving.title)).toHaveCount(0);
  await directus.update("posts", entering.id, { status: "published" });
  await expect(story(page, entering.title)).toBeVisible();
});

test("the list equals REST, in content and order, after many writes at once", async ({ page, directus }) => {
  const posts = await Promise.all(Array.from({ length: 8 }, () => directus.createPost()));
  await Promise.all(
    posts.map((post, place) =>
      place % 3 === 0
        ? directus.delete("posts", post.id)
        : directus.update("posts", post.id, place % 3 === 1 ? { status: "review" } : { title: `${post.title} again` }),
    ),
  );
  const published = await directus.read("posts", {
    filter: { status: { _eq: "published" } },
    sort: ["-date_created"],
    limit: 24,
    fields: ["title"],
  });
  await expect(stories(page).getByRole("heading")).toHaveText(published.map((row) => String(row.title)));
});

test("the masthead is live, too", async ({ page, directus }) => {
  const headline = `Stop press ${crypto.randomUUID().slice(0, 8)}`;
  await directus.updateSingleton("masthead", { headline, breaking: true });
  await expect(page.getByRole("heading", { level: 1, name: headline })).toBeVisible();
  await expect(page.getByText("Breaking", { exact: true })).toBeVisible();
});

test("a paused list stands still and catches up when it is resumed", async ({ page, wire, directus }) => {
  await page.getByRole("button", { name: "Pause live updates" }).click();
  await expect(page.getByText("Paused: changes are shown when you resume.")).toBeVisible();
  const post = await directus.createPost();
  // The masthead stays live and so tells when the page has heard of everything.
  const headline = `After the post ${crypto.randomUUID().slice(0, 8)}`;
  await directus.updateSingleton("masthead", { headline });
  await expect(page.getByRole("heading", { level: 1, name: headline })).toBeVisible();
  await expect(story(page, post.title)).toHaveCount(0);
  await page.getByRole("button", { name: "Resume live updates" }).click();
  await expect(story(page, post.title)).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  expect(wire.opened).toBe(1);
});
