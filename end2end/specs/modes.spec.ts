import { BROKEN_LINK } from "../support/console.ts";
import { type Mode, control } from "../support/control.ts";
import { badge, expect, needsControl, settled, story, test } from "../support/fixtures.ts";

needsControl();

test.afterAll(async () => {
  if (control.isThere) await control.restart("public");
});

for (const mode of ["public", "handshake", "strict"] satisfies Mode[]) {
  test.describe(`Directus in mode ${mode}`, () => {
    test.beforeAll(() => control.restart(mode));

    test("a visitor who is logged in has a live page", async ({ page, context, logIn, directus }) => {
      await logIn(context, "ada");
      const post = await directus.createPost();
      await page.goto("/");
      await settled(page);
      await expect(story(page, post.title)).toBeVisible();
      const next = await directus.createPost();
      await expect(story(page, next.title)).toBeVisible();
      await directus.update("posts", post.id, { status: "draft" });
      await expect(story(page, post.title)).toHaveCount(0);
    });

    if (mode === "public") {
      test("an anonymous visitor has one, too", async ({ page, directus }) => {
        await page.goto("/");
        await settled(page);
        const post = await directus.createPost();
        await expect(story(page, post.title)).toBeVisible();
      });
    } else {
      test("an anonymous visitor reads, and is told why nothing is live", async ({ page, directus, request, complaints }) => {
        complaints.allow(BROKEN_LINK);
        const post = await directus.createPost();
        await page.goto("/");
        await expect(story(page, post.title)).toBeVisible();
        await expect(badge(page)).toContainText("Needs login");
        await expect(page.getByText("Live updates need a login.")).toBeVisible();
        await expect(page.getByRole("contentinfo").or(page.getByRole("status")).getByRole("link", { name: "Log in" })).toBeVisible();
        expect(await (await request.get("/directus-ws")).json()).toMatchObject({ admitted: false, code: "AUTH_REQUIRED", mode });
      });

      test("an anonymous visitor's page is right within half a minute, and says so", async ({ page, directus, complaints }) => {
        complaints.allow(BROKEN_LINK);
        await page.clock.install();
        await page.goto("/");
        await expect(badge(page)).toContainText("Needs login");
        const post = await directus.createPost();
        await page.clock.fastForward(31_000);
        await expect(story(page, post.title)).toBeVisible();
        await expect(page.getByText("the list is asked for again every half minute")).toBeVisible();
        await expect(badge(page)).toContainText("Needs login");
      });

      test("the login heals it at once", async ({ page, directus, complaints }) => {
        complaints.allow(BROKEN_LINK);
        await page.goto("/");
        await expect(badge(page)).toContainText("Needs login");
        await page.getByRole("navigation").getByRole("link", { name: "Log in" }).click();
        await page.getByLabel("E-mail").fill("ada@example.com");
        await page.getByLabel("Password").fill("ada-pass-1");
        await page.getByRole("button", { name: "Log in" }).click();
        await expect(page.getByRole("heading", { level: 1, name: /Ada/ })).toBeVisible();
        await page.getByRole("link", { name: "Front page" }).click();
        await expect(badge(page)).toContainText("Connected");
        const post = await directus.createPost();
        await expect(story(page, post.title)).toBeVisible();
      });
    }
  });
}
