import type { Page } from "@playwright/test";

import { baseURL } from "../support/environment.ts";
import { badge, expect, needsSchemaToken, settled, stories, story, test } from "../support/fixtures.ts";
import type { DirectusWriter } from "../support/directus.ts";

needsSchemaToken();

/** An author that no other test has, with a story. */
async function author(directus: DirectusWriter) {
  const name = `Author ${crypto.randomUUID().slice(0, 8)}`;
  const { id } = await directus.create<{ id: number }>("authors", { name });
  return { id, name, post: await directus.createPost({ author: id }) };
}

/** What the page asks the server about relations, and how it is answered. */
function questions(page: Page) {
  const asked: { path: string; status: number }[] = [];
  page.on("response", (response) => {
    const { pathname, search } = new URL(response.url());
    if (search.includes("relations_of=")) asked.push({ path: pathname + search, status: response.status() });
  });
  return asked;
}

test("an anonymous visitor sees an author's new name, which Directus announces for no post", async ({ page, wire, directus }) => {
  const asked = questions(page);
  const { id, name, post } = await author(directus);
  await page.goto("/");
  await settled(page);
  await expect(stories(page).getByText(`By ${name}`)).toBeVisible();
  expect(wire.rowReads("posts"), "one catch-up read, authors and all").toHaveLength(1);
  await directus.update("authors", id, { name: `${name} the Second` });
  await expect(stories(page).getByText(`By ${name} the Second`)).toBeVisible();
  expect(asked, "the answer was in the HTML").toEqual([]);

  await page.goto(`/posts/${post.id}`);
  await settled(page);
  await directus.update("authors", id, { name: `${name} the Third` });
  await expect(page.getByText(`By ${name} the Third`)).toBeVisible();
});

test("a page that the browser itself went to asks once, and follows", async ({ page, directus }) => {
  const { id, name, post } = await author(directus);
  await page.goto("/board");
  await settled(page);
  const asked = questions(page);
  await page.getByRole("link", { name: "Front page", exact: true }).click();
  await expect(story(page, post.title)).toBeVisible();
  await expect(badge(page)).toContainText("Connected");
  await expect.poll(() => asked.filter(({ path }) => path.includes("relations_of=posts"))).toHaveLength(1);
  await directus.update("authors", id, { name: `${name} the Second` });
  await expect(stories(page).getByText(`By ${name} the Second`)).toBeVisible();
  expect(asked.map(({ status }) => status)).toEqual(asked.map(() => 200));
  const before = asked.length;
  await page.getByRole("link", { name: "Board", exact: true }).click();
  await page.getByRole("link", { name: "Front page", exact: true }).click();
  await expect(story(page, post.title)).toBeVisible();
  await page.waitForLoadState("networkidle");
  expect(asked.length, "what was answered is not asked again").toBe(before);
});

test("what the server knows it by is in no page and no answer", async ({ request }) => {
  for (const path of ["/", "/directus-ws", "/directus-ws?relations_of=posts&path=author.name"]) {
    const answer = await request.get(path, { headers: { referer: `${baseURL}/` } });
    expect(await answer.text(), path).not.toContain("schema-static-token");
    expect(JSON.stringify(answer.headers()), path).not.toContain("schema-static-token");
  }
  const told = await request.get("/directus-ws?relations_of=posts&path=author.name&path=comments", {
    headers: { referer: `${baseURL}/` },
  });
  expect(await told.json()).toEqual({ leads: { to: ["authors", "comments"], is_all: true } });
  // What the public may not read is not told either: users are behind `authors.user`.
  const secret = await request.get("/directus-ws?relations_of=authors&path=user.email", { headers: { referer: `${baseURL}/` } });
  expect(await secret.json()).toEqual({ leads: { to: [], is_all: false } });
});
