import path from "node:path";

import { artefacts } from "../support/environment.ts";
import { expect, test } from "../support/fixtures.ts";
import { addressOf, pages } from "../support/pages.ts";

const SCREENS = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 900 },
};

for (const [screen, viewport] of Object.entries(SCREENS)) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${screen}, ${colorScheme}`, () => {
      test.use({ viewport, colorScheme });

      for (const subject of [...pages, { name: "not-found", path: "/no-such-page", heading: "Not found" }]) {
        test(`a picture of the page "${subject.name}"`, async ({ page, context, directus, logIn, complaints }) => {
          complaints.allow(/status of 404/);
          if ("user" in subject && subject.user) await logIn(context, subject.user);
          await page.goto(await addressOf(subject, directus));
          await expect(page.getByRole("heading", { level: 1, name: subject.heading })).toBeVisible();
          await page.waitForLoadState("networkidle");
          const file = path.join(artefacts, "screenshots", `${subject.name}-${screen}-${colorScheme}.png`);
          await page.screenshot({ path: file, fullPage: true, animations: "disabled" });
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          expect(overflow, "pixels that stand out to the side").toBeLessThanOrEqual(0);
        });
      }
    });
  }
}
