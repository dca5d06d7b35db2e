import { expect, settled, stories, story, test } from "../support/fixtures.ts";
import { moments, watch } from "../support/moments.ts";

test("rows leave with the right to read them, and are back with it", async ({ page, directus, complaints }) => {
  test.setTimeout(120_000);
  complaints.allow(/Failed to load resource: the server responded with a status of 403/);
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  await expect(story(page, post.title)).toBeVisible();
  const { revoked, giveBack } = await directus.revokeFromPublic("posts", "read");
  expect(revoked).toBeGreaterThan(0);
  // Directus tells nobody that a right has gone. The next event of the collection does.
  const secret = `${post.title}, a secret now`;
  await watch(page, ".stories");
  await directus.update("posts", post.id, { title: secret });
  await expect(stories(page).getByRole("heading")).toHaveCount(0);
  await expect(page.getByText("is not for you to see with the login you have")).toBeVisible();
  const shown = (await moments(page)).map(({ text }) => text);
  expect(shown.some((text) => text.includes(secret)), "what came after the right had gone").toBe(false);

  await giveBack();
  // What was refused is asked for again after half a minute.
  await expect(story(page, secret)).toBeVisible({ timeout: 45_000 });
  await expect(page.getByText("is not for you to see")).toHaveCount(0);
  const live = await directus.createPost();
  await expect(story(page, live.title)).toBeVisible();
});
