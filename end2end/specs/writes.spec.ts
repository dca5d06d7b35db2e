import { type Page, type Route } from "@playwright/test";

import { BROKEN_LINK } from "../support/console.ts";
import { control } from "../support/control.ts";
import type { DirectusWriter } from "../support/directus.ts";
import { badge, expect, needsControl, settled, test } from "../support/fixtures.ts";
import { setVisibility } from "../support/visibility.ts";

const comments = (page: Page) => page.getByRole("list", { name: /Comments/ }).getByRole("listitem");
const comment = (page: Page, text: string) => comments(page).filter({ hasText: text });
const someText = () => `Well said ${crypto.randomUUID().slice(0, 8)}`;

async function write(page: Page, text: string) {
  await page.getByLabel("Your name").fill("A reader");
  await page.getByLabel("Your comment").fill(text);
  await page.getByRole("button", { name: "Send comment" }).click();
}

/** How often Directus has it; what there is goes when the test ends. */
async function saved(directus: DirectusWriter, text: string) {
  const found = await directus.read("comments", { filter: { text: { _eq: text } }, fields: ["id"] });
  for (const { id } of found) directus.remember("comments", String(id));
  return found.length;
}

test("a comment is there before Directus has it, and keeps its node when Directus does", async ({ page, directus }) => {
  const post = await directus.createPost();
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  // The request is held up on its way, not answered by somebody else.
  let held: Route | undefined;
  await page.route("**/directus/items/comments**", (route) => {
    if (route.request().method() === "POST") held = route;
    else void route.continue();
  });
  const text = someText();
  await write(page, text);
  await expect(comment(page, text)).toContainText("On its way…");
  expect(await saved(directus, text)).toBe(0);
  const node = await comment(page, text).elementHandle();
  await expect.poll(() => held !== undefined).toBe(true);
  await held?.continue();
  await expect(page.getByText("Your comment is there.")).toBeVisible();
  await expect(comment(page, text)).not.toContainText("On its way…");
  // Read again because of its event, too: somebody else's change to it comes after that.
  const [row] = await directus.read("comments", { filter: { text: { _eq: text } }, fields: ["id"] });
  await directus.update("comments", String(row?.id), { text: `${text}, mended` });
  await expect(comment(page, `${text}, mended`)).toBeVisible();
  expect(await node?.evaluate((node) => node.isConnected)).toBe(true);
  await expect(comment(page, text)).toHaveCount(1);
  directus.remember("comments", String(row?.id));
});

test("what is written offline waits, and is saved once when the connection is back", async ({ page, context, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const post = await directus.createPost();
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  await context.setOffline(true);
  await expect(badge(page)).toContainText("Reconnecting");
  const [first, second] = [someText(), someText()];
  for (const text of [first, second]) {
    await write(page, text);
    await expect(page.getByText("Your comment is sent when the connection is back.")).toBeVisible();
    await expect(comment(page, text)).toContainText("On its way…");
  }
  await context.setOffline(false);
  await expect(page.getByText("Your comment is there.")).toBeVisible();
  for (const text of [first, second]) {
    await expect(comment(page, text)).not.toContainText("On its way…");
    expect(await saved(directus, text)).toBe(1);
  }
});

test("a refused comment leaves the list, says why, and is not lost to whoever wrote it", async ({ page, directus, complaints }) => {
  complaints.allow(/Failed to load resource.*403/);
  const post = await directus.createPost();
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  expect((await directus.revokeFromPublic("comments", "create")).revoked).toBe(1);
  const text = someText();
  await write(page, text);
  await expect(page.getByText("Your comment was not sent:")).toBeVisible();
  await expect(comment(page, text)).toHaveCount(0);
  await expect(page.getByLabel("Your comment")).toHaveValue(text);
  expect(await saved(directus, text)).toBe(0);
});

/** An editor moves a draft to review without a connection, which is there again once somebody else did something. */
async function moveOffline(page: Page, title: string, meanwhile: () => Promise<unknown>) {
  await page.goto("/board");
  await settled(page);
  await page.context().setOffline(true);
  await expect(badge(page)).toContainText("Reconnecting");
  await page.getByRole("button", { name: `Move “${title}” to Review` }).click();
  await meanwhile();
  await page.context().setOffline(false);
}

test("a card that somebody deletes meanwhile is told, and gone", async ({ page, context, logIn, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const post = await directus.createPost({ status: "draft" });
  await logIn(context, "ada");
  await moveOffline(page, post.title, () => directus.delete("posts", post.id));
  await expect(page.getByText("somebody deleted it meanwhile").first()).toBeVisible();
  await expect(page.getByRole("link", { name: post.title, exact: true })).toHaveCount(0);
});

test("a card that somebody else moves meanwhile stays where they moved it, and it is told", async ({ page, context, logIn, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const post = await directus.createPost({ status: "draft" });
  await logIn(context, "ada");
  await moveOffline(page, post.title, () => directus.update("posts", post.id, { status: "published" }));
  await expect(page.getByText("somebody else changed `status`").first()).toBeVisible();
  const published = page.getByRole("region", { name: "Published" });
  await expect(published.getByRole("link", { name: post.title, exact: true })).toBeVisible();
  const [row] = await directus.read("posts", { filter: { id: { _eq: post.id } }, fields: ["status"] });
  expect(row).toEqual({ status: "published" });
});

test("what was written before a login in another tab is not sent with it", async ({ page, context, logIn, directus, complaints }) => {
  complaints.allow(/Failed to load resource: the server responded with a status of 401/);
  await page.clock.install();
  const post = await directus.createPost();
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  await logIn(context, "ada");
  // The page was out of sight for long enough, as far as its scripts can tell.
  await setVisibility(page, "hidden");
  await page.clock.fastForward(1_100);
  // It has not found out who is here when the comment is written.
  let wasWritten = () => {};
  const isWritten = new Promise<void>((resolve) => (wasWritten = resolve));
  await page.route(/\/users\/me/, async (route) => {
    await isWritten;
    await route.continue();
  });
  await setVisibility(page, "visible");
  const text = someText();
  await write(page, text);
  wasWritten();
  await expect(page.getByText("Your comment was not sent: the login changed before this was sent")).toBeVisible();
  await expect(comment(page, text)).toHaveCount(0);
  expect(await saved(directus, text)).toBe(0);
  await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /Ada/ })).toBeVisible();

  await expect(page.getByLabel("Your comment")).toHaveValue(text);
  await page.getByRole("button", { name: "Send comment" }).click();
  await expect(page.getByText("Your comment is there.")).toBeVisible();
  expect(await saved(directus, text)).toBe(1);
});

test("what an earlier page kept and is refused is told on whichever page comes next", async ({ page, directus, complaints }) => {
  complaints.allow(BROKEN_LINK);
  const [post, other] = [await directus.createPost(), await directus.createPost()];
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  const isOut = (url: URL) => url.pathname === "/directus/items/comments";
  await page.route(isOut, (route) => (route.request().method() === "POST" ? route.abort() : route.continue()));
  const text = someText();
  await write(page, text);
  await expect(comment(page, text)).toContainText("On its way…");
  await directus.revokeFromPublic("comments", "create");
  await page.goto(`/posts/${other.id}`);
  await settled(page);
  await page.unroute(isOut);
  await expect(page.getByText(/Not saved\. A change of comments: .*permission/)).toBeVisible({ timeout: 40_000 });
  await expect(comments(page)).toHaveCount(0);
  await page.getByRole("button", { name: "I have seen that" }).click();
  await expect(page.getByText("Not saved.")).toHaveCount(0);
  expect(await saved(directus, text)).toBe(0);
});

test.describe("Directus goes away", () => {
  needsControl();

  test.afterEach(async () => {
    if (control.isThere) await control.start();
  });

  test("what waits outlives a reload, and is saved once", async ({ page, directus, complaints }) => {
    complaints.allow(BROKEN_LINK);
    const post = await directus.createPost();
    await page.goto(`/posts/${post.id}`);
    await settled(page);
    await control.stop("KILL");
    await expect(badge(page)).toContainText("Reconnecting");
    const texts = [someText(), someText(), someText()];
    for (const text of texts) {
      await write(page, text);
      await expect(comment(page, text)).toContainText("On its way…");
    }
    await page.reload();
    await expect(badge(page)).toContainText("Reconnecting");
    await control.start();
    for (const text of texts) {
      await expect(comment(page, text)).toBeVisible({ timeout: 40_000 });
      await expect(comment(page, text)).not.toContainText("On its way…", { timeout: 40_000 });
    }
    for (const text of texts) expect(await saved(directus, text), text).toBe(1);
  });
});
