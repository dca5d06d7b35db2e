import { badge, expect, settled, story, test } from "../support/fixtures.ts";

test("two editors see each other's moves on the board", async ({ newVisitor, directus }) => {
  const post = await directus.createPost({ status: "draft" });
  const ada = await newVisitor({ user: "ada" });
  const grace = await newVisitor({ user: "grace" });
  for (const { page } of [ada, grace]) {
    await page.goto("/board");
    await settled(page);
    await expect(page.getByRole("link", { name: /Ada|Grace/ })).toBeVisible();
  }
  const lane = (page: typeof ada.page, name: string) =>
    page.getByRole("region", { name }).getByRole("link", { name: post.title, exact: true });
  await ada.page.getByRole("button", { name: `Move “${post.title}” to Review` }).click();
  await expect(lane(grace.page, "Review")).toBeVisible();
  await expect(lane(grace.page, "Draft")).toHaveCount(0);
  await grace.page.getByRole("button", { name: `Move “${post.title}” to Published` }).click();
  await expect(lane(ada.page, "Published")).toBeVisible();
  await expect(lane(ada.page, "Review")).toHaveCount(0);
});

test("a post is dragged from one lane to another", async ({ page, context, logIn, directus }) => {
  const post = await directus.createPost({ status: "draft" });
  await logIn(context, "ada");
  await page.goto("/board");
  await settled(page);
  const card = page.locator(`li[data-key="${post.id}"]`);
  await expect(card).toHaveAttribute("draggable", "true");
  // By its edge: the middle of a card is a button.
  await card.dragTo(page.getByRole("heading", { level: 2, name: "Published" }), { sourcePosition: { x: 6, y: 6 } });
  await expect(page.getByRole("region", { name: "Published" }).getByRole("link", { name: post.title })).toBeVisible();
  await expect(page.getByRole("region", { name: "Draft" }).getByRole("link", { name: post.title })).toHaveCount(0);
  expect((await directus.read("posts", { filter: { id: { _eq: post.id } } }))[0]).toMatchObject({ status: "published" });
});

test("the keyboard moves a post, and the focus goes with it", async ({ page, context, logIn, directus }) => {
  const post = await directus.createPost({ status: "draft" });
  await logIn(context, "ada");
  await page.goto("/board");
  await settled(page);
  await page.getByRole("button", { name: `Move “${post.title}” to Review` }).press("Enter");
  const moved = page.getByRole("region", { name: "Review" }).getByRole("link", { name: post.title });
  await expect(moved).toBeFocused();
  await expect(page.getByText(`“${post.title}” is in Review now.`)).toBeVisible();
});

test("the public sees the board and why it can't move anything", async ({ page, directus }) => {
  const post = await directus.createPost({ status: "draft" });
  await page.goto("/board");
  await settled(page);
  await expect(page.getByText("You may look, but not move")).toBeVisible();
  await expect(page.getByRole("button", { name: `Move “${post.title}” to Review` })).toBeDisabled();
});

test("a reader's comment appears for everybody who reads the story", async ({ page, newVisitor, directus }) => {
  const post = await directus.createPost();
  const other = await newVisitor();
  for (const reader of [page, other.page]) {
    await reader.goto(`/posts/${post.id}`);
    await settled(reader);
  }
  const text = `Well said ${crypto.randomUUID().slice(0, 8)}`;
  await page.getByLabel("Your name").fill("A reader");
  await page.getByLabel("Your comment").fill(text);
  await page.getByRole("button", { name: "Send comment" }).click();
  await expect(page.getByText("Your comment is there.")).toBeVisible();
  for (const reader of [page, other.page]) await expect(reader.getByRole("listitem").getByText(text)).toBeVisible();
  await expect(page.getByLabel("Your comment")).toHaveValue("");
  const [comment] = await directus.read("comments", { filter: { text: { _eq: text } }, fields: ["id"] });
  directus.remember("comments", String(comment?.id));
});

test("a story that is deleted while somebody reads it says so", async ({ page, directus }) => {
  const post = await directus.createPost();
  await page.goto(`/posts/${post.id}`);
  await settled(page);
  await directus.delete("posts", post.id);
  await expect(page.getByRole("heading", { name: "This story is not here" })).toBeVisible();
});

test("the feed shows raw events, pauses, and ends its subscriptions", async ({ page, wire, directus }) => {
  await page.goto("/feed");
  await expect(page.getByText("Subscribed to comments, posts")).toBeVisible();
  const events = page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem");
  await expect.poll(() => wire.acknowledgements.length).toBeGreaterThanOrEqual(2);

  const first = await directus.createPost();
  await expect(events.first()).toContainText(first.title);
  await expect(events.first()).toContainText("create");

  await page.getByRole("button", { name: "Pause" }).click();
  const second = await directus.createPost();
  await expect(page.getByText("paused with 1 waiting")).toBeVisible();
  await expect(events.filter({ hasText: second.title })).toHaveCount(0);
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(events.first()).toContainText(second.title);

  await page.getByRole("checkbox", { name: "wires" }).check();
  await expect(page.getByText("Subscribed to comments, posts, wires")).toBeVisible();
  await page.getByRole("checkbox", { name: "posts" }).uncheck();
  await expect.poll(() => wire.alive.filter((uid) => uid.includes("posts"))).toEqual([]);
  await page.getByRole("button", { name: "Unsubscribe all" }).click();
  await expect(page.getByText("Not subscribed")).toBeVisible();
  await expect.poll(() => wire.alive).toEqual([]);
});

test("a page that is not there is a 404, and so is a story", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource/);
  for (const path of ["/no-such-page", "/posts/99999999", "/posts/no-number"]) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(/not found|not here/i);
  }
});

test("going from page to page leaves no subscription behind", async ({ page, wire, directus }) => {
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  const nav = page.getByRole("navigation", { name: "Main" });
  await page.getByRole("link", { name: post.title, exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: post.title })).toBeVisible();
  await nav.getByRole("link", { name: "Board" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Board" })).toBeVisible();
  await nav.getByRole("link", { name: "Feed" }).click();
  await expect(page.getByText("Subscribed to comments, posts")).toBeVisible();
  await nav.getByRole("link", { name: "Front page" }).click();
  await expect(story(page, post.title)).toBeVisible();
  expect(wire.opened, "one socket for all of it").toBe(1);
  await nav.getByRole("link", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Log in" })).toBeVisible();
  // The linger is 5 s.
  await expect.poll(() => wire.alive, { timeout: 15_000 }).toEqual([]);
  await expect.poll(() => wire.open, { timeout: 15_000 }).toBe(0);
  await expect(badge(page)).toContainText("Standing by");
});
