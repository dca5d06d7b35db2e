import { addressOf, pages } from "../support/pages.ts";
import { expect, stories, story, test } from "../support/fixtures.ts";

test.use({ javaScriptEnabled: false });

// The page hints at its wasm module, which nobody loads here.
test.beforeEach(({ complaints }) => complaints.allow(/was preloaded using link preload but not used/));

test("the front page's rows are in the HTML that the server sends", async ({ page, request, directus }) => {
  const post = await directus.createPost();
  expect(await (await request.get("/")).text()).toContain(post.title);
  await page.goto("/");
  await expect(story(page, post.title)).toBeVisible();
  const published = await directus.read("posts", {
    filter: { status: { _eq: "published" } },
    sort: ["-date_created"],
    limit: 24,
    fields: ["title"],
  });
  await expect(stories(page).getByRole("heading")).toHaveText(published.map((row) => String(row.title)));
});

for (const subject of pages) {
  test(`the page "${subject.name}" reads well without JavaScript`, async ({ page, context, directus, logIn }) => {
    if (subject.user) await logIn(context, subject.user);
    const response = await page.goto(await addressOf(subject, directus));
    expect(response?.status()).toBe(200);
    await expect(page.getByRole("heading", { level: 1, name: subject.heading })).toBeVisible();
    await expect(page).toHaveTitle(/ · The Signal$/);
    await expect(page.locator('meta[name="description"]')).toHaveAttribute("content", /\S/);
    // No control that would do nothing.
    for (const button of await page.getByRole("button").all()) await expect(button).toHaveText("Show");
  });
}

test("forms that need JavaScript say so", async ({ request, directus }) => {
  const post = await directus.createPost();
  for (const [path, sentence] of [
    [`/posts/${post.id}`, "Commenting needs JavaScript."],
    ["/board", "Moving posts needs JavaScript."],
    ["/feed", "it needs JavaScript."],
    ["/login", "Logging in needs JavaScript."],
  ] as const) {
    // In the HTML: the browser under test parses as if scripts ran, even where it runs none.
    expect(await (await request.get(path)).text()).toMatch(new RegExp(`<noscript>[^]*${sentence}[^]*</noscript>`));
  }
});

test("links lead from the front page to a story and back", async ({ page, directus }) => {
  const post = await directus.createPost();
  await directus.create("comments", { post: post.id, author_name: "A reader", text: "Seen without a script." });
  await page.goto("/");
  await page.getByRole("link", { name: post.title, exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: post.title })).toBeVisible();
  await expect(page.getByText("Seen without a script.")).toBeVisible();
  await page.getByRole("link", { name: "Front page" }).click();
  await expect(stories(page)).toBeVisible();
});

test("the explore form asks by GET", async ({ page, directus }) => {
  const post = await directus.createPost();
  await page.goto("/explore");
  await page.getByLabel("Query (JSON)").fill(JSON.stringify({ filter: { id: { _eq: post.id } }, fields: ["id", "title"] }));
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.locator(`tr[data-key="${post.id}"] td[data-field="title"]`)).toHaveText(post.title);
  await expect(page.locator("tbody tr")).toHaveCount(1);
});
