import { users } from "../support/environment.ts";
import { badge, expect, settled, test } from "../support/fixtures.ts";

test("login and logout re-open the socket, and the lists follow", async ({ page, wire, directus, complaints }) => {
  complaints.allow(/status of 401 .*\/directus\/auth\/login/);
  const [ada] = await directus.read<{ id: number; name: string }>("authors", { filter: { user: { email: { _eq: users.ada.email } } } });
  const mine = await directus.createPost({ author: ada?.id });
  await page.goto("/me");
  await expect(page.getByRole("heading", { name: "You are not logged in" })).toBeVisible();
  await settled(page);
  const anonymous = wire.opened;

  await page.getByRole("main").getByRole("link", { name: "Log in" }).click();
  await page.getByLabel("E-mail").fill(users.ada.email);
  await page.getByLabel("Password").fill("not her password");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByText("There is no such e-mail and password.")).toBeVisible();
  await page.getByLabel("Password").fill(users.ada.password);
  await page.getByRole("button", { name: "Log in" }).click();

  const posts = page.getByRole("region", { name: "Your posts" });
  await expect(posts.getByRole("link", { name: mine.title })).toBeVisible();
  await expect(page.getByRole("region", { name: "You as an author" })).toContainText(String(ada?.name));
  await settled(page);
  expect(wire.opened).toBeGreaterThan(anonymous);
  const loggedIn = wire.opened;
  const second = await directus.createPost({ author: ada?.id });
  await expect(posts.getByRole("link", { name: second.title })).toBeVisible();

  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByRole("heading", { name: "You are not logged in" })).toBeVisible();
  await expect(page.getByText(mine.title)).toHaveCount(0);
  await expect.poll(() => wire.opened).toBeGreaterThan(loggedIn);
  await expect(badge(page)).toContainText("Connected");
  expect((await page.context().cookies()).filter((cookie) => cookie.value !== "" && cookie.name.includes("directus"))).toEqual([]);
});

test("who is logged in is in the HTML, and no token is", async ({ page, context, logIn }) => {
  await logIn(context, "grace");
  const session = (await context.cookies()).find((cookie) => cookie.name === "directus_session_token");
  expect(session).toMatchObject({ httpOnly: true, sameSite: "Lax", path: "/" });
  const html = await (await context.request.get("/me")).text();
  expect(html).toContain("Grace");
  expect(html).not.toContain(String(session?.value));
  await page.goto("/me");
  await settled(page);
  await expect(page.getByRole("heading", { level: 1, name: /Grace/ })).toBeVisible();
});

test("a session that has ended does not keep anybody from public pages", async ({ page, context, directus, complaints }) => {
  complaints.allow(/Failed to load resource: the server responded with a status of 401/);
  const post = await directus.createPost();
  await context.addCookies([{ name: "directus_session_token", value: "stale.session.token", url: test.info().project.use.baseURL }]);
  await page.goto("/");
  await settled(page);
  await expect(page.getByRole("heading", { name: post.title })).toBeVisible();
});
