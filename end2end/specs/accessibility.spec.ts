import { AxeBuilder } from "@axe-core/playwright";

import { expect, settled, stories, test } from "../support/fixtures.ts";
import { addressOf, pages } from "../support/pages.ts";

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme} colours`, () => {
    test.use({ colorScheme });

    for (const subject of pages) {
      test(`axe finds nothing on the page "${subject.name}"`, async ({ page, context, directus, logIn }) => {
        if (subject.user) await logIn(context, subject.user);
        await page.goto(await addressOf(subject, directus));
        await expect(page.getByRole("heading", { level: 1, name: subject.heading })).toBeVisible();
        await page.waitForLoadState("networkidle");
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect(violations.map(({ id, nodes }) => ({ id, nodes: nodes.map((node) => node.html) }))).toEqual([]);
      });
    }
  });
}

test("the keyboard reaches the content at once, and a new page takes the focus", async ({ page, directus }) => {
  const post = await directus.createPost();
  await page.goto("/");
  await settled(page);
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the content" });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/#main$/);
  await stories(page).getByRole("link", { name: post.title, exact: true }).press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: post.title })).toBeVisible();
  await expect(page.getByRole("main")).toBeFocused();
});

test("every target is large enough for a finger", async ({ page, context, directus, logIn }) => {
  await logIn(context, "ada");
  await page.setViewportSize({ width: 390, height: 844 });
  for (const subject of pages) {
    await page.goto(await addressOf(subject, directus));
    await page.waitForLoadState("networkidle");
    const small = await page
      .locator("button:visible, nav a:visible, .button:visible, input:visible, textarea:visible, .choice:visible")
      .evaluateAll((targets) =>
        targets
          .map((target) => (target.closest(".choice") ?? target).getBoundingClientRect())
          .filter(({ width, height }) => width < 24 || height < 24).length,
      );
    expect(small, subject.name).toBe(0);
  }
});
